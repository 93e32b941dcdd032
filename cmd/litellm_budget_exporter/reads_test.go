package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"

	"litellm_budget_exporter/collector/counters/redistest"
	"litellm_budget_exporter/examples/simulator"
)

// TestOnlyReads has the program, with credentials that may do everything, go through all its loops with MONITOR on
// its Redis and a proxy before its LiteLLM, and fails on whatever could change something.
func TestOnlyReads(t *testing.T) {
	for _, release := range []string{"1.84.0", "1.109.1"} {
		t.Run(release, func(t *testing.T) {
			redis := redistest.Standalone(t)
			liteLLM, err := simulator.New(simulator.Options{Release: release, Redis: redis.Client(t)})
			if err != nil {
				t.Fatal(err)
			}
			newFleet(t, liteLLM)
			l := httptest.NewServer(liteLLM.Handler())
			defer l.Close()
			proxy := newWatchingProxy(t, l.URL)
			p := httptest.NewServer(proxy)
			defer p.Close()
			file := t.TempDir() + "/config.yml"
			write(t, file, fmt.Sprintf(`
litellm: {url: %q, api_key: %q}
redis: {url: "redis://%s/0"}
intervals: {inventory: 1s, counters: 1s}
tolerance: {write_lag: 1s}
refusals: on
`, p.URL, liteLLM.MasterKey(), redis.Addr))

			endRecording := redis.Monitor(t)
			e := start(t, nil, "--config.file="+file)
			eventually(t, func() error {
				metrics := e.get(t, "/metrics")
				for _, loop := range []string{"inventory", "counters", "rows", "confirmation"} {
					if strings.Contains(metrics, `litellm_budget_exporter_poll_duration_seconds_count{loop="`+loop+`"} 0`) {
						return fmt.Errorf("the loop %s has not run", loop)
					}
				}
				if !strings.Contains(metrics, `litellm_budget_falsely_locked_entities{scope="key"} 1`) {
					return fmt.Errorf("nobody was found falsely locked")
				}
				return nil
			})
			e.stop(t)

			for command := range endRecording() {
				if !slices.Contains([]string{"hello", "get", "pttl", "llen"}, command) {
					t.Errorf("Redis was sent %s", strings.ToUpper(command))
				}
			}
			for _, r := range proxy.requests() {
				if !slices.Contains([]string{
					"GET /key/list", "GET /key/info", "POST /v2/key/info", "GET /v2/team/list", "GET /budget/list",
					"GET /public/model_hub/info", "GET /spend/logs/v2",
				}, r) {
					t.Errorf("LiteLLM was sent %s", r)
				}
			}
		})
	}
}

// watchingProxy passes requests on and remembers them.
type watchingProxy struct {
	next http.Handler

	mu   sync.Mutex
	seen map[string]bool
}

func newWatchingProxy(t *testing.T, to string) *watchingProxy {
	t.Helper()
	u, err := url.Parse(to)
	if err != nil {
		t.Fatal(err)
	}
	return &watchingProxy{next: httputil.NewSingleHostReverseProxy(u), seen: map[string]bool{}}
}

func (p *watchingProxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	p.seen[r.Method+" "+r.URL.Path] = true
	p.mu.Unlock()
	p.next.ServeHTTP(w, r)
}

func (p *watchingProxy) requests() (seen []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for r := range p.seen {
		seen = append(seen, r)
	}
	return seen
}
