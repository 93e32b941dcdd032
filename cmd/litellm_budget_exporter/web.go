package main

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"path"
	"strings"
	"time"

	"github.com/prometheus/exporter-toolkit/web"

	"litellm_budget_exporter/collector/budget"
	"litellm_budget_exporter/collector/explain"
)

// webOptions are the flags about the web server.
type webOptions struct {
	listen        *web.FlagConfig
	listenGiven   bool // not left to the default
	telemetryPath string
	externalURL   string
}

// routes are what the web server serves.
type routes struct {
	snapshot func() *budget.Snapshot // nil before the first one
	explain  func(*budget.Snapshot, budget.ID) *explain.Explanation
	ready    func() bool
	reload   func() error
	metrics  http.Handler
	logger   *slog.Logger
}

// newServer makes the web server, which does not listen yet.
func newServer(o webOptions, r routes) (*http.Server, error) {
	prefix, err := routePrefix(o.externalURL)
	if err != nil {
		return nil, fmt.Errorf("--web.external-url: %w", err)
	}
	if err := checkTelemetryPath(o.telemetryPath); err != nil {
		return nil, fmt.Errorf("--web.telemetry-path: %w", err)
	}

	// ServeMux answers other methods with 405.
	mux := http.NewServeMux()
	mux.Handle("GET "+prefix+"/{$}", &landingPage{
		snapshot:    r.snapshot,
		now:         time.Now,
		metricsPath: strings.TrimPrefix(o.telemetryPath, "/"),
		logger:      r.logger,
	})
	mux.Handle("GET "+prefix+"/explain", &explainPage{snapshot: r.snapshot, explain: r.explain, logger: r.logger})
	mux.Handle("GET "+prefix+o.telemetryPath, r.metrics)
	mux.HandleFunc("GET "+prefix+"/-/healthy", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = fmt.Fprintln(w, "Healthy.")
	})
	mux.HandleFunc("GET "+prefix+"/-/ready", func(w http.ResponseWriter, _ *http.Request) {
		if !r.ready() {
			http.Error(w, "Not ready: the sources were not tried yet.", http.StatusServiceUnavailable)
			return
		}
		_, _ = fmt.Fprintln(w, "Ready.")
	})
	reload := func(w http.ResponseWriter, _ *http.Request) {
		if err := r.reload(); err != nil {
			http.Error(w, "The old configuration stays in force: "+err.Error(), http.StatusInternalServerError)
			return
		}
		_, _ = fmt.Fprintln(w, "Reloaded.")
	}
	mux.HandleFunc("POST "+prefix+"/-/reload", reload)
	mux.HandleFunc("PUT "+prefix+"/-/reload", reload)
	if prefix != "" {
		mux.Handle("GET /{$}", http.RedirectHandler(prefix+"/", http.StatusFound))
	}

	return &http.Server{
		Handler:           mux,
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       30 * time.Second,
		WriteTimeout:      time.Minute,     // a scrape of a large fleet over a slow line
		IdleTimeout:       5 * time.Minute, // longer than any usual scrape interval
		ErrorLog:          slog.NewLogLogger(r.logger.Handler(), slog.LevelWarn),
	}, nil
}

// routePrefix is the path of the external URL without a slash at its end.
func routePrefix(externalURL string) (string, error) {
	u, err := url.Parse(externalURL)
	if err != nil {
		return "", err
	}
	if externalURL != "" && (u.Scheme != "http" && u.Scheme != "https" || u.Host == "") {
		return "", fmt.Errorf("%q is not of the form https://host/path", externalURL)
	}
	if u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return "", fmt.Errorf("%q must have no more than scheme, host and path", u.Redacted())
	}
	return strings.TrimSuffix(path.Clean("/"+u.EscapedPath()), "/"), nil
}

// checkTelemetryPath keeps the metrics apart from the exporter's other endpoints.
func checkTelemetryPath(p string) error {
	if p == "/" || path.Clean(p) != p || !strings.HasPrefix(p, "/") || strings.ContainsAny(p, "{}? #%") {
		return fmt.Errorf("%q is not a path like /metrics", p)
	}
	if p == "/-" || strings.HasPrefix(p, "/-/") || p == "/explain" {
		return fmt.Errorf("%q is taken by another endpoint", p)
	}
	return nil
}
