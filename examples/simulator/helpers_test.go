package simulator_test

import (
	"context"
	"encoding/json"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"litellm_budget_exporter/collector/counters/redistest"
	"litellm_budget_exporter/examples/simulator"
)

// start is when the manual clock of the tests begins: a Tuesday.
var start = time.Date(2026, 11, 24, 7, 42, 0, 0, time.UTC)

// lab is a simulator on a manual clock with a real Redis.
type lab struct {
	*simulator.Simulator
	t     *testing.T
	redis *redis.Client
}

// newLab makes a lab; the Redis is emptied first. What the options leave out is three workers and the tests' clock.
func newLab(t *testing.T, server *redistest.Server, o simulator.Options) lab {
	t.Helper()
	rdb := server.Client(t)
	if err := rdb.FlushAll(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	o.Redis = rdb
	if o.Workers == 0 {
		o.Workers = 3
	}
	if o.Clock == nil {
		o.Clock = simulator.NewManualClock(start)
	}
	s, err := simulator.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return lab{s, t, rdb}
}

// step lets time pass.
func (l lab) step(d time.Duration) {
	l.t.Helper()
	if err := l.Step(l.t.Context(), d); err != nil {
		l.t.Fatal(err)
	}
}

// counter is the text of a counter, "" when there is none.
func (l lab) counter(name string) string {
	l.t.Helper()
	text, err := l.redis.Get(l.t.Context(), name).Result()
	if err != nil && err != redis.Nil { //nolint:errorlint // go-redis returns it as it is
		l.t.Fatal(err)
	}
	return text
}

// usd is the value of a counter that must be there.
func (l lab) usd(name string) float64 {
	l.t.Helper()
	v, err := strconv.ParseFloat(l.counter(name), 64)
	if err != nil {
		l.t.Fatalf("counter %s: %q", name, l.counter(name))
	}
	return v
}

// life is a counter's remaining life: -1 for ever, -2 none.
func (l lab) life(name string) time.Duration {
	l.t.Helper()
	d, err := l.redis.PTTL(l.t.Context(), name).Result()
	if err != nil {
		l.t.Fatal(err)
	}
	return d
}

// spend is a key's reported spend.
func (l lab) spend(hash string) float64 {
	l.t.Helper()
	k, ok := l.Key(hash)
	if !ok {
		l.t.Fatalf("no key %s", hash)
	}
	return k.Spend
}

// send has one request admitted and answered.
func (l lab) send(hash string, cost float64) *simulator.Refusal {
	l.t.Helper()
	return l.Send(l.t.Context(), simulator.Request{Key: hash, Cost: cost, Estimate: 4 * cost})[0]
}

// race has one request of each worker come in at once.
func (l lab) race(hash string, workers int, cost float64) (admitted int) {
	l.t.Helper()
	var rs []simulator.Request
	for w := range workers {
		rs = append(rs, simulator.Request{Key: hash, Worker: w, Cost: cost, Estimate: 4 * cost})
	}
	for _, refusal := range l.Send(l.t.Context(), rs...) {
		if refusal == nil {
			admitted++
		}
	}
	return admitted
}

// get asks the API as the holder of a bearer.
func (l lab) get(path, bearer string) (int, string) {
	l.t.Helper()
	return l.do(http.MethodGet, path, bearer, "")
}

func (l lab) do(method, path, bearer, body string) (int, string) {
	l.t.Helper()
	r, err := http.NewRequestWithContext(l.t.Context(), method, "http://litellm"+path, strings.NewReader(body))
	if err != nil {
		l.t.Fatal(err)
	}
	if bearer != "" {
		r.Header.Set("Authorization", "Bearer "+bearer)
	}
	response, err := clientOf(l.Simulator).Do(r)
	if err != nil {
		l.t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		l.t.Fatal(err)
	}
	return response.StatusCode, string(text)
}

// aliases are the aliases that a list of keys answers, as the admin sees it.
func (l lab) aliases(query string) []string {
	l.t.Helper()
	status, body := l.get("/key/list?return_full_object=true&"+query, l.MasterKey())
	var answer struct {
		Keys []struct {
			Alias string `json:"key_alias"`
		} `json:"keys"`
	}
	if err := json.Unmarshal([]byte(body), &answer); err != nil || status != http.StatusOK {
		l.t.Fatalf("%s: status %d, body %.200s", query, status, body)
	}
	aliases := []string{}
	for _, k := range answer.Keys {
		aliases = append(aliases, k.Alias)
	}
	return aliases
}

// clientOf is a client whose requests the simulator answers without a network.
func clientOf(s *simulator.Simulator) *http.Client {
	h := s.Handler()
	return &http.Client{Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		return w.Result(), nil
	})}
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// near says whether two amounts are the same but for the dust of adding.
func near(a, b float64) bool { return math.Abs(a-b) < 1e-9 }

// keyCounter is the name of a key's counter.
func keyCounter(k simulator.Key) string { return simulator.KeyCounter(k.Hash) }

// values reads all counters.
func (l lab) values() map[string]string {
	l.t.Helper()
	names, err := l.redis.Keys(context.Background(), "*").Result()
	if err != nil {
		l.t.Fatal(err)
	}
	values := map[string]string{}
	for _, name := range names {
		values[name] = l.counter(name)
	}
	return values
}
