// Command litellm_budget_exporter shows Prometheus how far the spend that LiteLLM enforces has drifted from the
// spend that it reports.
package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"slices"
	"syscall"

	"github.com/alecthomas/kingpin/v2"
	"github.com/prometheus/common/promslog"
	promslogflag "github.com/prometheus/common/promslog/flag"
	"github.com/prometheus/common/version"
	"github.com/prometheus/exporter-toolkit/web/kingpinflag"

	"litellm_budget_exporter/collector/budget"
)

const (
	name           = "litellm_budget_exporter"
	defaultAddress = ":10047"
)

// Exit codes.
const (
	exitOK     = 0
	exitFailed = 1
	exitUsage  = 2
)

// An alias may begin with @: it is no file with arguments.
func init() { kingpin.EnableFileExpansion = false }

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.LookupEnv, os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// program is what the commands share.
type program struct {
	configFile     string
	web            webOptions
	env            func(string) (string, bool)
	stdin          io.Reader
	stdout, stderr io.Writer
	logger         *slog.Logger
}

// run is the whole program: it does what args say until that is done or ctx ends, and returns the exit code.
func run(ctx context.Context, args []string, env func(string) (string, bool), stdin io.Reader, stdout, stderr io.Writer) int {
	p := program{env: env, stdin: stdin, stdout: stdout, stderr: stderr}
	logging := promslog.Config{Writer: stderr}
	if slices.ContainsFunc(args, budget.HoldsRawKey) { // before anything can repeat it
		fmt.Fprintf(stderr, "%s: error: %s\n", name, credentialGiven)
		return exitUsage
	}

	app := kingpin.New(name, "Shows Prometheus how far the spend that LiteLLM enforces has drifted from the spend that it reports.")
	app.UsageWriter(stdout).ErrorWriter(stderr)
	app.Version(version.Print(name)).HelpFlag.Short('h')
	app.Flag("config.file", "Configuration file (YAML). Without one, everything is taken from the environment.").
		PlaceHolder("FILE").StringVar(&p.configFile)
	p.web.listen = kingpinflag.AddFlags(app, defaultAddress)
	app.GetFlag("web.listen-address").IsSetByUser(&p.web.listenGiven)
	app.Flag("web.telemetry-path", "Path under which to expose the metrics.").
		Default("/metrics").StringVar(&p.web.telemetryPath)
	app.Flag("web.external-url", "URL under which the exporter is reached from outside, for example through a reverse proxy. All its endpoints are below the path of this URL.").
		PlaceHolder("URL").StringVar(&p.web.externalURL)
	promslogflag.AddFlags(app, &logging)
	logs := false // somebody asked for them
	app.GetFlag("log.level").IsSetByUser(&logs)

	serve := app.Command("serve", "Run the exporter (the default).").Default()
	demo := app.Command("demo", "Run the exporter against a simulated LiteLLM and Redis inside the process, with incidents to look at.")
	check := app.Command("check", "Read everything once and print who diverges. Exit code 0: nobody, 1: somebody, or the fleet as a whole, "+
		"2: it cannot be told: a configured source could not be read, or a suspicion was not settled in time.")
	checkOutput := check.Flag("output", "How to print it: table or json.").Default("table").Enum("table", "json")
	explanation := explainFlags(app, args)
	config := app.Command("config", "About the configuration.")
	configCheck := config.Command("check", "Validate a configuration file; nothing is read but the file, the environment and the files that they name.")
	checkFile := configCheck.Arg("file", "Configuration file.").Required().String()

	// --help and --version print what they print and would end the process.
	done := false
	app.Terminate(func(int) { done = true })
	command, err := app.Parse(args)
	if done {
		return exitOK
	}
	if err != nil {
		fmt.Fprintf(stderr, "%s: error: %s, try --help\n", name, err)
		return exitUsage
	}
	p.logger = promslog.New(&logging)

	switch command {
	case serve.FullCommand():
		err = p.serve(ctx)
	case demo.FullCommand():
		err = p.demo(ctx)
	case configCheck.FullCommand():
		return p.checkConfig(*checkFile)
	case check.FullCommand():
		return p.quietly(logs).check(ctx, *checkOutput)
	case explainCommand:
		return p.quietly(logs).explain(ctx, *explanation)
	}
	if err != nil {
		p.logger.Error("cannot go on", "err", err)
		return exitFailed
	}
	return exitOK
}

// quietly is the program without logs, for commands whose output says it all; with them if somebody asked for them.
func (p program) quietly(logs bool) *program {
	if !logs {
		p.logger = promslog.NewNopLogger()
	}
	return &p
}
