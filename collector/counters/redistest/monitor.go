package redistest

import (
	"bufio"
	"io"
	"net"
	"regexp"
	"strings"
	"testing"
)

// monitored is a line of MONITOR; the command's name is its first quoted word.
var monitored = regexp.MustCompile(`^\+[\d.]+ \[\d+ [^]]*\] "([^"]*)"`)

// Monitor records the commands that reach the server from now on, from whomever. The function it returns ends
// that and counts them by their names in lower case. It serves a server without TLS and without a password.
func (s *Server) Monitor(tb testing.TB) (end func() map[string]int) {
	tb.Helper()
	var dialer net.Dialer
	conn, err := dialer.DialContext(tb.Context(), "tcp", s.Addr)
	if err != nil {
		tb.Fatalf("redistest: %v", err)
	}
	tb.Cleanup(func() { _ = conn.Close() })
	lines := bufio.NewReader(conn)
	next := func() string {
		line, err := lines.ReadString('\n')
		if err != nil {
			tb.Fatalf("redistest: MONITOR at %s: %v", s.Addr, err)
		}
		return line
	}
	if _, err := io.WriteString(conn, "MONITOR\r\n"); err != nil {
		tb.Fatalf("redistest: %v", err)
	}
	if line := next(); line != "+OK\r\n" {
		tb.Fatalf("redistest: MONITOR at %s answers %q", s.Addr, line)
	}
	return func() map[string]int {
		tb.Helper()
		const last = "the-last-command"
		s.Do(tb, "ECHO", last)
		seen := map[string]int{}
		for line := next(); !strings.Contains(line, last); line = next() {
			command := monitored.FindStringSubmatch(line)
			if command == nil {
				tb.Fatalf("redistest: MONITOR at %s says %q", s.Addr, line)
			}
			seen[strings.ToLower(command[1])]++
		}
		return seen
	}
}
