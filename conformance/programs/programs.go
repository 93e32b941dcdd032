// Package programs starts the programs that the tests run: the exporter as it is built, Prometheus and Alertmanager, each on a
// free port of loopback. They are killed in the test's cleanup. A program that is not installed fails the test with the name of the
// Debian package that has it.
package programs

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"sync"
	"syscall"
	"testing"
	"time"
)

// patience is for how long what must come is waited for; nothing that works takes as long.
const patience = 60 * time.Second

// Find returns the path of an installed program, or fails the test saying which Debian package has it.
func Find(tb testing.TB, program, debianPackage string) string {
	tb.Helper()
	path, err := exec.LookPath(program)
	if err != nil {
		tb.Fatalf("%s is not in PATH; install Debian's package %s (apt-get install %s)", program, debianPackage, debianPackage)
	}
	return path
}

// Exporter builds litellm_budget_exporter as `make build` does, and returns its path.
func Exporter(tb testing.TB) string {
	tb.Helper()
	const name = "litellm_budget_exporter"
	binary := filepath.Join(tb.TempDir(), name)
	cmd := exec.Command(Find(tb, "go", "golang"), "build", "-trimpath", "-o", binary, name+"/cmd/"+name)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		tb.Fatalf("go build: %v\n%s", err, out)
	}
	return binary
}

// Server is a running program that serves HTTP.
type Server struct {
	Address string // host:port

	cmd    *exec.Cmd
	log    log
	exited chan struct{}
}

// PID is the process id.
func (s *Server) PID() int { return s.cmd.Process.Pid }

// End asks the program to end, as whoever runs it would (SIGTERM), and returns its exit code.
func (s *Server) End(tb testing.TB) int {
	tb.Helper()
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		tb.Fatal(err)
	}
	select {
	case <-s.exited:
		return s.cmd.ProcessState.ExitCode()
	case <-time.After(patience):
		tb.Fatalf("it does not end after %s; its log:\n%s", patience, s.Log())
		return 0
	}
}

// Log is what the program has written so far.
func (s *Server) Log() string { return s.log.String() }

// listening is how the programs of the Prometheus world say where they listen.
var listening = regexp.MustCompile(`msg="Listening on" address=(\S+)`)

// Start starts a program that is to listen on a free port, and waits until it says on which.
func Start(tb testing.TB, program string, args ...string) *Server {
	tb.Helper()
	s := &Server{cmd: exec.Command(program, args...), exited: make(chan struct{})}
	s.cmd.Stdout, s.cmd.Stderr = &s.log, &s.log
	if err := s.cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	go func() {
		defer close(s.exited)
		_ = s.cmd.Wait() // its outcome is in ProcessState
	}()
	tb.Cleanup(func() {
		_ = s.cmd.Process.Kill() // fails only when it has ended already
		<-s.exited
	})
	for deadline := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		if found := listening.FindStringSubmatch(s.Log()); found != nil {
			s.Address = found[1]
			return s
		}
		select {
		case <-s.exited:
			tb.Fatalf("%s ended at its start; its log:\n%s", program, s.Log())
		default:
		}
		if time.Now().After(deadline) {
			tb.Fatalf("%s does not listen after %s; its log:\n%s", program, patience, s.Log())
		}
	}
}

// Prometheus starts a Prometheus with a configuration. Paths in that are relative to dir, where it keeps its files too.
func Prometheus(tb testing.TB, dir, config string) *Server {
	tb.Helper()
	return Start(tb, Find(tb, "prometheus", "prometheus"), "--config.file="+write(tb, dir, "prometheus.yml", config),
		"--storage.tsdb.path="+filepath.Join(dir, "prometheus"), "--web.listen-address=127.0.0.1:0")
}

// Alertmanager starts an Alertmanager with a configuration. Paths in that are relative to dir, where it keeps its files too.
func Alertmanager(tb testing.TB, dir, config string) *Server {
	tb.Helper()
	return Start(tb, Find(tb, "prometheus-alertmanager", "prometheus-alertmanager"),
		"--config.file="+write(tb, dir, "alertmanager.yml", config), "--storage.path="+filepath.Join(dir, "alertmanager"),
		"--web.listen-address=127.0.0.1:0", "--cluster.listen-address=")
}

func write(tb testing.TB, dir, name, content string) string {
	tb.Helper()
	file := filepath.Join(dir, name)
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		tb.Fatal(err)
	}
	return file
}

// log is what a program wrote.
type log struct {
	mu sync.Mutex
	b  bytes.Buffer
}

// Write appends to the log.
func (l *log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

// String is the log so far.
func (l *log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
