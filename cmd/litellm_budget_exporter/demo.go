package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/alicebob/miniredis/v2"
	rungroup "github.com/oklog/run"
	"github.com/redis/go-redis/v9"

	"litellm_budget_exporter/collector/config"
	"litellm_budget_exporter/examples/simulator"
)

// demoAddress is where the demo listens unless told otherwise: what it shows is nobody else's business.
const demoAddress = "127.0.0.1" + defaultAddress

// demo runs the exporter against a simulated LiteLLM and Redis. Neither a configuration nor the environment counts.
func (p *program) demo(ctx context.Context) error {
	if p.configFile != "" {
		return errors.New("the demo takes no --config.file: it reads its own simulated LiteLLM only")
	}
	if !p.web.listenGiven {
		*p.web.listen.WebListenAddresses = []string{demoAddress}
	}

	store, err := miniredis.Run()
	if err != nil {
		return fmt.Errorf("starting the simulated Redis: %w", err)
	}
	defer store.Close()
	client := redis.NewClient(&redis.Options{Addr: store.Addr()})
	defer client.Close()
	// No time passes in this Redis by itself.
	liteLLM, err := simulator.NewDemo(ctx, simulator.Options{Redis: client, Elapse: store.FastForward})
	if err != nil {
		return fmt.Errorf("starting the simulated LiteLLM: %w", err)
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("starting the simulated LiteLLM: %w", err)
	}
	api := &http.Server{Handler: liteLLM.Handler(), ReadHeaderTimeout: 10 * time.Second}

	simulated := map[string]string{
		"LITELLM_URL":     "http://" + listener.Addr().String(),
		"LITELLM_API_KEY": simulator.DemoViewer,
		"REDIS_URL":       "redis://" + store.Addr(),
	}
	load := func() (*config.Config, error) {
		cfg, err := config.Load("", func(name string) (string, bool) {
			value, ok := simulated[name]
			return value, ok
		})
		if err == nil { // a small fleet can be read often, and who looks on does not like to wait
			cfg.Intervals = config.Intervals{Inventory: 15 * time.Second, Counters: 5 * time.Second}
		}
		return cfg, err
	}
	p.explainDemo(liteLLM.Release(), simulated)

	var group rungroup.Group
	running, stop := context.WithCancel(ctx)
	group.Add(func() error { return liteLLM.Run(running) }, func(error) { stop() })
	group.Add(func() error { return api.Serve(listener) }, func(error) { _ = api.Close() })
	group.Add(func() error { return p.export(running, load) }, func(error) { stop() })
	err = group.Run()
	if ctx.Err() != nil { // asked to end
		return nil
	}
	return err
}

// explainDemo says what to look at; simulated is the environment in which other commands read the demo.
func (p *program) explainDemo(release string, simulated map[string]string) {
	address := (*p.web.listen.WebListenAddresses)[0]
	if strings.HasPrefix(address, ":") {
		address = "localhost" + address
	}
	prefix, _ := routePrefix(p.web.externalURL) // the web server complains if it is wrong
	page := "http://" + address + prefix
	fmt.Fprintf(p.stdout, `A simulated LiteLLM %s and its Redis run in this process, with a busy fleet and some incidents. Within a minute,

  %s/ shows who is falsely locked, bypassed or diverging;
  %s%s shows the same to Prometheus.

The key %s is refused although it has money left, as in BerriAI/litellm #27735: reported 3.536, enforced 10.607, cap 10. See

  curl -s %s%s | grep '^litellm_budget_key.*%s'

Why, and what mends it: %s/explain?id=%s, or

  %s explain %s --exporter %s

The team %s spends on past its cap: reported 17, enforced 6, cap 10. See

  curl -s %s%s | grep '^litellm_budget_team.*%s'

Other commands read the same demo from another terminal:

  export LITELLM_URL=%s LITELLM_API_KEY=%s REDIS_URL=%s
  %s check

Ctrl-C ends all of it.

`, release, page, page, p.web.telemetryPath,
		simulator.FalselyLockedAlias, page, p.web.telemetryPath, simulator.DemoKey(simulator.FalselyLockedAlias)[:12],
		page, simulator.FalselyLockedAlias, name, simulator.FalselyLockedAlias, page,
		simulator.BypassedTeamAlias, page, p.web.telemetryPath, simulator.BypassedTeamID,
		simulated["LITELLM_URL"], simulated["LITELLM_API_KEY"], simulated["REDIS_URL"], name)
}
