// Package redistest starts real Redis servers for tests, each on free ports of loopback with its files in the
// test's temporary directory, and kills them in the test's cleanup. What a server is to be is said in lines of
// redis.conf ("requirepass secret", "user reader on >pw ~* +get", "databases 4"). A missing program fails
// the test with the name of the Debian package that has it.
package redistest

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// Server is one running Redis server.
type Server struct {
	Addr   string // host:port
	CAFile string // PEM of the authority that signed the server's certificate; "" without TLS

	tls       *tls.Config
	password  string
	clustered bool
	bus       int // port of the cluster bus, when clustered
	process   *process
}

// Standalone starts a Redis of its own, without persistence.
func Standalone(tb testing.TB, config ...string) *Server {
	tb.Helper()
	s := &Server{}
	s.run(tb, config)
	return s
}

// run starts the server on a free port.
func (s *Server) run(tb testing.TB, config []string) {
	tb.Helper()
	s.password = password(config)
	retry(tb, func() (err error) {
		port := freePort(tb)
		listen := fmt.Sprintf("port %d", port)
		if s.tls != nil {
			listen = fmt.Sprintf("port 0\ntls-port %d", port)
		}
		if s.clustered { // the default port of the bus, 10000 higher, may be no port at all
			s.bus = freePort(tb)
			listen += fmt.Sprintf("\ncluster-enabled yes\ncluster-port %d", s.bus)
		}
		lines := append([]string{"bind 127.0.0.1", listen, `save ""`, "appendonly no"}, config...)
		s.Addr = loopback(port)
		s.process, err = launch(tb, "redis-server", writeConfig(tb, lines), "Ready to accept connections")
		return err
	})
}

// password is the default user's, as the configuration lines set it.
func password(config []string) string {
	for _, line := range config {
		if password, ok := strings.CutPrefix(line, "requirepass "); ok {
			return password
		}
	}
	return ""
}

func writeConfig(tb testing.TB, lines []string) string {
	tb.Helper()
	file := filepath.Join(tb.TempDir(), "redis.conf")
	if err := os.WriteFile(file, []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
		tb.Fatalf("redistest: %v", err)
	}
	return file
}

// TLSConfig is a client's configuration that trusts the server; nil without TLS.
func (s *Server) TLSConfig() *tls.Config { return s.tls.Clone() }

// Client connects as the default user, who may do everything unless the configuration says otherwise. It is
// closed in the test's cleanup.
func (s *Server) Client(tb testing.TB) *redis.Client {
	tb.Helper()
	c := s.client()
	tb.Cleanup(func() { _ = c.Close() })
	return c
}

// client sends nothing of its own accord but HELLO, so that MONITOR shows what the tests do.
func (s *Server) client() *redis.Client {
	return redis.NewClient(&redis.Options{
		Addr:                     s.Addr,
		Password:                 s.password,
		TLSConfig:                s.tls,
		DisableIdentity:          true,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	})
}

// Do runs one command as the default user and fails the test when Redis answers with an error. The answer is
// nil where Redis has none.
func (s *Server) Do(tb testing.TB, args ...any) any {
	tb.Helper()
	answer, err := s.try(args...)
	if err != nil && !errors.Is(err, redis.Nil) {
		tb.Fatalf("redistest: %v at %s: %v", args, s.Addr, err)
	}
	return answer
}

// try runs one command on a connection of its own.
func (s *Server) try(args ...any) (any, error) {
	c := s.client()
	defer func() { _ = c.Close() }()
	return c.Do(context.Background(), args...).Result()
}

// flat runs a command that answers with names and values, and returns what it can of them.
func (s *Server) flat(args ...any) map[any]any {
	answer, _ := s.try(args...)
	pairs, _ := answer.(map[any]any)
	return pairs
}

func (s *Server) port(tb testing.TB) string {
	tb.Helper()
	_, port, err := net.SplitHostPort(s.Addr)
	if err != nil {
		tb.Fatalf("redistest: %v", err)
	}
	return port
}

// Kill ends the server as a crash would.
func (s *Server) Kill() { s.process.kill() }
