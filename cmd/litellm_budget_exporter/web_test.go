package main

import (
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func testRoutes() routes {
	return routes{
		snapshot: incidents,
		ready:    func() bool { return true },
		reload:   func() error { return nil },
		metrics:  http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "the metrics") }),
		logger:   slog.New(slog.DiscardHandler),
	}
}

func TestRoutes(t *testing.T) {
	broken := testRoutes()
	broken.ready = func() bool { return false }
	broken.reload = func() error { return errors.New("line 3: field urll: unknown") }

	for _, c := range []struct {
		name                   string
		externalURL, telemetry string
		routes                 routes
		method, path           string
		status                 int
		body                   string // a part of it
	}{
		{"landing page", "", "/metrics", testRoutes(), "GET", "/", 200, `href="metrics"`},
		{"metrics", "", "/metrics", testRoutes(), "GET", "/metrics", 200, "the metrics"},
		{"metrics elsewhere", "", "/a/b", testRoutes(), "GET", "/a/b", 200, "the metrics"},
		{"link to the metrics elsewhere", "", "/a/b", testRoutes(), "GET", "/", 200, `href="a/b"`},
		{"metrics are only read", "", "/metrics", testRoutes(), "POST", "/metrics", 405, ""},
		{"healthy", "", "/metrics", broken, "GET", "/-/healthy", 200, "Healthy"},
		{"healthy, without the body", "", "/metrics", broken, "HEAD", "/-/healthy", 200, ""},
		{"ready", "", "/metrics", testRoutes(), "GET", "/-/ready", 200, "Ready"},
		{"not ready", "", "/metrics", broken, "GET", "/-/ready", 503, "not tried yet"},
		{"reload", "", "/metrics", testRoutes(), "POST", "/-/reload", 200, "Reloaded"},
		{"reload by PUT", "", "/metrics", testRoutes(), "PUT", "/-/reload", 200, "Reloaded"},
		{"reload refused", "", "/metrics", broken, "POST", "/-/reload", 500, "line 3: field urll: unknown"},
		{"reload is no link", "", "/metrics", testRoutes(), "GET", "/-/reload", 405, ""},
		{"unknown", "", "/metrics", testRoutes(), "GET", "/debug/pprof/", 404, ""},
		{"prefix: landing page", "https://example.com/budgets/", "/metrics", testRoutes(), "GET", "/budgets/", 200, `href="metrics"`},
		{"prefix: metrics", "https://example.com/budgets", "/metrics", testRoutes(), "GET", "/budgets/metrics", 200, "the metrics"},
		{"prefix: ready", "https://example.com/budgets", "/metrics", testRoutes(), "GET", "/budgets/-/ready", 200, "Ready"},
		{"prefix: reload", "https://example.com/budgets", "/metrics", testRoutes(), "POST", "/budgets/-/reload", 200, "Reloaded"},
		{"prefix: nothing beside it", "https://example.com/budgets", "/metrics", testRoutes(), "GET", "/metrics", 404, ""},
		{"prefix: the root leads there", "https://example.com/budgets", "/metrics", testRoutes(), "GET", "/", 302, "/budgets/"},
		{"prefix: escaped", "https://example.com/{a} b/", "/metrics", testRoutes(), "GET", "/%7Ba%7D%20b/metrics", 200, "the metrics"},
		{"external URL without a path", "https://example.com", "/metrics", testRoutes(), "GET", "/metrics", 200, "the metrics"},
	} {
		t.Run(c.name, func(t *testing.T) {
			server, err := newServer(webOptions{telemetryPath: c.telemetry, externalURL: c.externalURL}, c.routes)
			if err != nil {
				t.Fatal(err)
			}
			w := httptest.NewRecorder()
			server.Handler.ServeHTTP(w, httptest.NewRequest(c.method, c.path, nil))
			if w.Code != c.status || !strings.Contains(w.Body.String(), c.body) {
				t.Errorf("%s %s answers %d %q, want %d and %q in it", c.method, c.path, w.Code, w.Body, c.status, c.body)
			}
		})
	}
}

func TestWebOptionsAreChecked(t *testing.T) {
	for _, c := range []struct{ externalURL, telemetryPath, want string }{
		{"example.com/budgets", "/metrics", `--web.external-url: "example.com/budgets" is not of the form https://host/path`},
		{"ftp://example.com/", "/metrics", `--web.external-url: "ftp://example.com/" is not of the form`},
		{"https://example.com/?q=1", "/metrics", "no more than scheme, host and path"},
		{"https://me:secret@example.com/", "/metrics", `"https://me:xxxxx@example.com/" must have no more`},
		{"", "metrics", `--web.telemetry-path: "metrics" is not a path like /metrics`},
		{"", "/", "is not a path"},
		{"", "", "is not a path"},
		{"", "/metrics/", "is not a path"},
		{"", "/{x}", "is not a path"},
		{"", "/-/ready", "is taken"},
		{"", "/explain", "is taken"},
	} {
		_, err := newServer(webOptions{telemetryPath: c.telemetryPath, externalURL: c.externalURL}, testRoutes())
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("--web.external-url=%q --web.telemetry-path=%q: error %v, want %q in it", c.externalURL, c.telemetryPath, err, c.want)
		}
	}
}
