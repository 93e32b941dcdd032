package redistest

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"net"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

const (
	startWithin = 30 * time.Second // patience with a loaded machine, never waited for by a healthy one
	attempts    = 5                // a port that was free can be taken by somebody else before Redis binds it
)

// process is a running redis-server or redis-sentinel.
type process struct {
	cmd    *exec.Cmd
	exited chan struct{}

	mu  sync.Mutex
	log bytes.Buffer
}

// launch starts a program on a configuration file and waits until its log contains the text that says that it
// serves. The process is killed in the test's cleanup.
func launch(tb testing.TB, program, configFile, readyText string) (*process, error) {
	tb.Helper()
	// The program's own log is the one witness that cannot be mistaken for another server on the same port.
	p := &process{cmd: exec.Command(lookup(tb, program), configFile), exited: make(chan struct{})}
	p.cmd.Dir = filepath.Dir(configFile)
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		tb.Fatalf("redistest: %v", err)
	}
	p.cmd.Stderr = p.cmd.Stdout
	if err := p.cmd.Start(); err != nil {
		tb.Fatalf("redistest: cannot start %s: %v", program, err)
	}
	ready := make(chan struct{})
	go func() {
		defer close(p.exited)
		lines := bufio.NewScanner(out)
		for seen := false; lines.Scan(); {
			p.mu.Lock()
			fmt.Fprintln(&p.log, lines.Text())
			p.mu.Unlock()
			if !seen && strings.Contains(lines.Text(), readyText) {
				seen = true
				close(ready)
			}
		}
		_ = p.cmd.Wait() // it ends by being killed, which is no error here
	}()
	tb.Cleanup(p.kill)

	select {
	case <-ready:
		return p, nil
	case <-p.exited:
		return nil, fmt.Errorf("%s ended at its start; its log:\n%s", program, p.output())
	case <-time.After(startWithin):
		return nil, fmt.Errorf("%s does not serve after %s; its log:\n%s", program, startWithin, p.output())
	}
}

// kill ends the process as a crash would, and waits for its end.
func (p *process) kill() {
	_ = p.cmd.Process.Kill() // fails only when the process has ended already
	<-p.exited
}

func (p *process) output() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.log.String()
}

// lookup finds a program, or fails the test saying which Debian package has it.
func lookup(tb testing.TB, program string) string {
	tb.Helper()
	path, err := exec.LookPath(program)
	if err != nil {
		// Debian names its packages as the programs.
		tb.Fatalf("redistest: %s is not in PATH; install Debian's package of that name (apt-get install %s)", program, program)
	}
	return path
}

// retry runs start until it succeeds, for a port may be taken between finding and binding it.
func retry(tb testing.TB, start func() error) {
	tb.Helper()
	var errs []error
	for range attempts {
		err := start()
		if err == nil {
			return
		}
		errs = append(errs, err)
	}
	tb.Fatalf("redistest: %v", errors.Join(errs...))
}

// freePort finds a free port on loopback.
func freePort(tb testing.TB) int {
	tb.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatalf("redistest: no free port: %v", err)
	}
	defer func() { _ = l.Close() }()
	addr, ok := l.Addr().(*net.TCPAddr)
	if !ok {
		tb.Fatalf("redistest: %v is no TCP address", l.Addr())
	}
	return addr.Port
}

func loopback(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }

// waitFor waits until a condition holds.
func waitFor(tb testing.TB, what string, holds func() bool) {
	tb.Helper()
	for deadline := time.Now().Add(startWithin); !holds(); {
		if time.Now().After(deadline) {
			tb.Fatalf("redistest: still waiting for %s after %s", what, startWithin)
		}
		time.Sleep(20 * time.Millisecond)
	}
}
