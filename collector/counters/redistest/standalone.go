// Package redistest starts real Redis servers for tests, each on free ports of loopback with its files in the
// test's temporary directory, and kills them in the test's cleanup. What a server is to be is said in lines of
// redis.conf ("requirepass secret", "user reader on >pw ~* +get", "databases 4"). A missing program fails
// the test with the name of the Debian package that has it.
package redistest

import (
	"context"
	"crypto/tls"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"
)

// Server is one running Redis server.
type Server struct {
	Addr   string // host:port
	CAFile string // PEM of the authority that signed the server's certificate; "" without TLS

	tls      *tls.Config
	password string
	process  *process
}

// Standalone starts a Redis of its own, without persistence.
func Standalone(t testing.TB, config ...string) *Server {
	t.Helper()
	var s *Server
	retry(t, func() (err error) {
		s, err = start(t, freePorts(t, 1)[0], config)
		return err
	})
	return s
}

// start runs one Redis on a port.
func start(t testing.TB, port int, config []string) (*Server, error) {
	t.Helper()
	lines := append([]string{
		"bind 127.0.0.1",
		fmt.Sprintf("port %d", port),
		`save ""`,
		"appendonly no",
	}, config...)
	s := &Server{Addr: fmt.Sprintf("127.0.0.1:%d", port)}
	for _, line := range config {
		if password, ok := strings.CutPrefix(line, "requirepass "); ok {
			s.password = password
		}
	}
	var err error
	s.process, err = launch(t, "redis-server", writeConfig(t, lines), "Ready to accept connections")
	return s, err
}

func writeConfig(t testing.TB, lines []string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "redis.conf")
	if err := os.WriteFile(file, []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
		t.Fatalf("redistest: %v", err)
	}
	return file
}

// TLSConfig is a client's configuration that trusts the server; nil without TLS.
func (s *Server) TLSConfig() *tls.Config { return s.tls.Clone() }

// Client connects as the default user, who may do everything unless the configuration says otherwise. It is
// closed in the test's cleanup.
func (s *Server) Client(t testing.TB) *redis.Client {
	t.Helper()
	c := redis.NewClient(&redis.Options{Addr: s.Addr, Password: s.password, TLSConfig: s.tls})
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// Do runs one command as the default user and fails the test when Redis answers with an error.
func (s *Server) Do(t testing.TB, args ...any) any {
	t.Helper()
	answer, err := s.Client(t).Do(context.Background(), args...).Result()
	if err != nil && err != redis.Nil {
		t.Fatalf("redistest: %v at %s: %v", args, s.Addr, err)
	}
	return answer
}

// Kill ends the server as a crash would.
func (s *Server) Kill() { s.process.kill() }
