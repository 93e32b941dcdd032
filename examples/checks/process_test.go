package checks

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// start starts a command that runs until it is asked to end, by stop or at the end of the test. What it says is in the file log.
func start(t *testing.T, cmd *exec.Cmd) (log string, stop func()) {
	t.Helper()
	log = filepath.Join(t.TempDir(), "log")
	file, err := os.Create(log)
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stdout, cmd.Stderr = file, file
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = cmd.Wait() // being asked to end is an error to some programs
	}()
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		defer func() { _ = file.Close() }()
		_ = cmd.Process.Signal(syscall.SIGTERM) // it fails only when the process has ended already
		select {
		case <-ended:
		case <-time.After(patience):
			_ = cmd.Process.Kill()
			t.Errorf("%s did not end when asked to", cmd.Path)
			<-ended
		}
		if t.Failed() {
			t.Logf("%s:\n%s", cmd.Path, readFile(t, log))
		}
	}
	t.Cleanup(stop)
	return log, stop
}

// patience is for a loaded machine and never waited for on a healthy one.
const patience = time.Minute

func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !holds(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("still waiting for %s after %s", what, patience)
		}
	}
}

func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return port
}
