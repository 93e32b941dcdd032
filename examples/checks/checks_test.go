// Package checks holds what people copy from examples/, and the Dockerfile, against tools that know each format.
package checks

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// update has the tests write what they would compare with: examples/kubernetes and the chart's golden renderings.
var update = flag.Bool("update", false, "rewrite rendered files")

// repository is the root of the repository, as seen from this package.
const repository = "../.."

func example(path ...string) string {
	return filepath.Join(append([]string{repository, "examples"}, path...)...)
}

func readFile(tb testing.TB, path string) string {
	tb.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		tb.Fatal(err)
	}
	return string(content)
}

func writeFile(tb testing.TB, path, content string) {
	tb.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		tb.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		tb.Fatal(err)
	}
}

// golden compares a rendering with its file.
func golden(t *testing.T, file, rendering string) {
	t.Helper()
	if *update {
		writeFile(t, file, rendering)
		return
	}
	if content, err := os.ReadFile(file); err != nil || string(content) != rendering {
		t.Errorf("%s is not what is rendered now (%v); `go -C examples/checks test -update` writes it anew, then read the difference", file, err)
	}
}

// installed fails the test, saying what to install, when a program is missing.
func installed(tb testing.TB, program, pkg string) string {
	tb.Helper()
	path, err := exec.LookPath(program)
	if err != nil {
		tb.Fatalf("%s is not in PATH; install Debian's package %s (apt-get install %s)", program, pkg, pkg)
	}
	return path
}

// run runs a command and returns what it prints; a test fails with that when the command does.
func run(tb testing.TB, cmd *exec.Cmd) string {
	tb.Helper()
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		tb.Fatalf("%s: %v\n%s%s", strings.Join(cmd.Args, " "), err, out, &stderr)
	}
	return string(out)
}

// programs is a directory for what is built once for all tests.
var programs string

func TestMain(m *testing.M) {
	flag.Parse()
	slog.SetLogLoggerLevel(slog.LevelWarn) // Helm tells of each link that it follows
	var err error
	if programs, err = os.MkdirTemp("", "examples"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := m.Run()
	_ = os.RemoveAll(programs)
	os.Exit(code)
}

// exporter is the program as it is now.
var exporter = sync.OnceValues(func() (string, error) {
	binary := filepath.Join(programs, "litellm_budget_exporter")
	cmd := exec.CommandContext(context.Background(), "go", "build", "-o", binary, "./cmd/litellm_budget_exporter")
	cmd.Dir, cmd.Env = repository, append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, out)
	}
	return binary, nil
})

// checkConfig has the exporter itself judge a configuration, in the given environment alone.
func checkConfig(t *testing.T, config string, environment ...string) {
	t.Helper()
	binary, err := exporter()
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "litellm_budget_exporter.yml")
	writeFile(t, file, config)
	cmd := exec.Command(binary, "config", "check", file)
	cmd.Env = environment
	run(t, cmd)
}
