package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"litellm_budget_exporter/collector/counters/redistest"
	"litellm_budget_exporter/conformance/programs"
	"litellm_budget_exporter/examples/simulator"
)

// TestEndToEnd has the built program read a simulated LiteLLM and a real Redis, and a real Prometheus scrape it; then
// PromQL answers what LiteLLM and Redis were given.
func TestEndToEnd(t *testing.T) {
	dir := t.TempDir()
	const redisPassword = "read-only-password"
	redis := redistest.Standalone(t,
		"user budget_exporter on >"+redisPassword+" resetkeys ~spend:* ~litellm_*_buffer* -@all +get +pttl +llen")
	liteLLM, err := simulator.New(simulator.Options{Release: "1.84.0", Redis: redis.Client(t)})
	if err != nil {
		t.Fatal(err)
	}
	f := newFleet(t, liteLLM)
	l := httptest.NewServer(liteLLM.Handler())
	defer l.Close()

	write(t, filepath.Join(dir, "litellm"), liteLLM.MasterKey()+"\n")
	write(t, filepath.Join(dir, "redis"), redisPassword+"\n")
	write(t, filepath.Join(dir, "config.yml"), fmt.Sprintf(`
litellm: {url: %q, api_key_file: litellm}
redis: {url: "redis://budget_exporter@%s/0", password_file: redis}
intervals: {inventory: 1s, counters: 1s}
tolerance: {write_lag: 2s}
`, l.URL, redis.Addr))
	exporter := programs.Start(t, programs.Exporter(t), "--config.file="+filepath.Join(dir, "config.yml"), "--web.listen-address=127.0.0.1:0")
	prometheus := promAPI{t, programs.Prometheus(t, dir, fmt.Sprintf(`
global: {scrape_interval: 1s}
scrape_configs:
  - job_name: litellm
    static_configs: [{targets: [%q]}]
`, exporter.Address)).Address}

	// Every spend, to the last digit.
	prometheus.eventually(`litellm_budget_key_spend_reported_usd`, "hashed_api_key", f.reported)
	prometheus.eventually(`litellm_budget_key_spend_enforced_usd`, "hashed_api_key", f.enforced)
	prometheus.eventually(`litellm_budget_key_redis_spend_usd`, "hashed_api_key", f.counters)
	prometheus.eventually(`litellm_budget_key_max_budget_usd`, "hashed_api_key", f.caps)
	prometheus.eventually(`litellm_budget_team_spend_enforced_usd`, "team", map[string]float64{"team-growth": 6, "team-payments": 40.25})
	prometheus.eventually(`litellm_budget_key_window_spend_enforced_usd`, "window", map[string]float64{"1d": 1.25})
	prometheus.eventually(`litellm_budget_source_up`, "source", map[string]float64{"litellm": 1, "redis": 1})

	// Who is refused, and who is let through, for nothing.
	prometheus.eventually(`litellm_budget_key_falsely_locked == 1`, "hashed_api_key", map[string]float64{f.locked: 1})
	prometheus.eventually(`litellm_budget_team_bypassed == 1`, "team", map[string]float64{"team-growth": 1})
	prometheus.eventually(`litellm_budget_falsely_locked_entities`, "scope", map[string]float64{"key": 1, "team": 0})

	// Sums and joins, to the cent.
	prometheus.eventually(`round(sum(litellm_budget_key_spend_reported_usd), 0.01)`, "", map[string]float64{"": cents(sum(f.reported))})
	prometheus.eventually(`round(litellm_budget_spend_reported_sum_usd{scope="key"}, 0.01)`, "scope", map[string]float64{"key": cents(sum(f.reported))})
	prometheus.eventually(`round(sum(litellm_budget_key_spend_divergence_usd), 0.01)`, "", map[string]float64{"": cents(sum(f.enforced) - sum(f.reported))})
	named := `round(litellm_budget_key_spend_divergence_usd * on (hashed_api_key) group_left (api_key_alias) litellm_budget_key_info{api_key_alias!=""}, 0.01)`
	prometheus.eventually(named, "api_key_alias", map[string]float64{
		"checkout-prod": 7.07, "busy": 0, "cold": 0, "unlimited": 0.01, hostileAlias: 0, "windows": 0,
	})

	// What changes in LiteLLM and Redis changes in Prometheus: the lock is mended, a key spends, one is renamed, one deleted.
	liteLLM.DeleteCounter(t.Context(), simulator.KeyCounter(f.locked))
	prometheus.eventually(`litellm_budget_key_falsely_locked == 1`, "hashed_api_key", map[string]float64{})
	prometheus.eventually(`litellm_budget_key_spend_enforced_usd{hashed_api_key="`+f.locked+`"}`, "hashed_api_key", map[string]float64{f.locked: 3.536})
	prometheus.eventually(`time() - litellm_budget_key_falsely_locked_last_timestamp_seconds < bool 600`, "hashed_api_key", map[string]float64{f.locked: 1})
	liteLLM.EditKey(f.busy, func(k *simulator.Key) { k.Spend += 1.07 })
	prometheus.eventually(`round(litellm_budget_key_spend_observed_usd_total > 0, 0.01)`, "hashed_api_key", map[string]float64{f.busy: 1.07})
	liteLLM.EditKey(f.hostile, func(k *simulator.Key) { k.Alias = "renamed" })
	prometheus.eventually(`litellm_budget_key_info{hashed_api_key="`+f.hostile+`"}`, "api_key_alias", map[string]float64{"renamed": 1})
	liteLLM.DeleteKey(f.cold)
	prometheus.eventually(`{__name__=~"litellm_budget_.+", hashed_api_key="`+f.cold+`"}`, "__name__", map[string]float64{})

	for name, secret := range map[string]string{"LiteLLM": liteLLM.MasterKey(), "Redis": redisPassword} {
		hides(t, exporter, name, secret)
	}
	if code := exporter.End(t); code != 0 {
		t.Errorf("the exporter ends with code %d, want 0; its log:\n%s", code, exporter.Log())
	}
}

// hostileAlias is what LiteLLM lets somebody call a key.
const hostileAlias = "a \"quoted\"\nnew line, a back\\slash and a 🚀"

// fleet is what LiteLLM and Redis are given, by hash.
type fleet struct {
	reported, enforced, counters, caps map[string]float64
	locked, busy, cold, hostile        string
}

func newFleet(t *testing.T, s *simulator.Simulator) fleet {
	t.Helper()
	f := fleet{map[string]float64{}, map[string]float64{}, map[string]float64{}, map[string]float64{}, "", "", "", ""}
	count := func(name, value string) { s.SetCounter(t.Context(), name, value, time.Hour) }
	// counter is its text in Redis, "" = there is none.
	add := func(k simulator.Key, counter string) (hash string) {
		k = s.AddKey(k)
		f.reported[k.Hash], f.enforced[k.Hash] = k.Spend, k.Spend
		if k.MaxBudget != nil {
			f.caps[k.Hash] = *k.MaxBudget
		}
		if counter == "" {
			return k.Hash
		}
		count(simulator.KeyCounter(k.Hash), counter)
		v, err := strconv.ParseFloat(counter, 64)
		if err != nil {
			t.Fatal(err)
		}
		f.counters[k.Hash], f.enforced[k.Hash] = v, v
		return k.Hash
	}

	f.locked = add(simulator.Key{Alias: "checkout-prod", Spend: 3.536, MaxBudget: new(10.0)}, "10.607")
	f.busy = add(simulator.Key{Alias: "busy", Spend: 12.34, MaxBudget: new(50.0)}, "12.340000000000002")
	f.cold = add(simulator.Key{Alias: "cold", Spend: 4.2, MaxBudget: new(25.0)}, "")
	add(simulator.Key{Alias: "unlimited", Spend: 212.4}, "212.41")
	f.hostile = add(simulator.Key{Alias: hostileAlias, Spend: 0.1 + 0.2, MaxBudget: new(1.0)}, "0.30000000000000004")
	windows := add(simulator.Key{Alias: "windows", Windows: []simulator.Window{{Duration: "1d", MaxBudget: 30, ResetAt: s.Now().Add(time.Hour)}}}, "")
	count(simulator.WindowCounter(simulator.KeyCounter(windows), "1d"), "1.25")
	for i := range 150 { // more than a page
		add(simulator.Key{Spend: 1.01 * float64(i), MaxBudget: new(1000.0)}, "")
	}
	s.AddTeam(simulator.Team{ID: "team-growth", Alias: "Growth", Spend: 17, MaxBudget: new(10.0)})
	count(simulator.TeamCounter("team-growth"), "6")
	s.AddTeam(simulator.Team{ID: "team-payments", Alias: "Payments", Spend: 40.25, MaxBudget: new(2000.0)})
	return f
}

func sum(m map[string]float64) (s float64) {
	for _, v := range m {
		s += v
	}
	return s
}

func cents(v float64) float64 { return math.Round(v*100) / 100 }

// hides checks that a secret is nowhere to be seen: not in the process list, the log, the pages or the metrics.
func hides(t *testing.T, s *programs.Server, name, secret string) {
	t.Helper()
	cmdline, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", s.PID()))
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]string{"process list": string(cmdline), "log": s.Log()}
	for _, path := range []string{"/", "/metrics"} {
		_, seen[path] = request(t, http.DefaultClient, http.MethodGet, "http://"+s.Address+path)
	}
	for where, text := range seen {
		if text == "" || strings.Contains(text, secret) {
			t.Errorf("the secret of %s is in the %s, or that is empty:\n%s", name, where, text)
		}
	}
}

// promAPI is a Prometheus.
type promAPI struct {
	t       *testing.T
	address string
}

// eventually waits until the query gives exactly these values, by the given label.
func (p promAPI) eventually(query, label string, want map[string]float64) {
	p.t.Helper()
	eventually(p.t, func() error {
		got, err := p.query(query, label)
		if err != nil {
			return err
		}
		if !maps.Equal(got, want) {
			return fmt.Errorf("%s gives %v, want %v", query, got, want)
		}
		return nil
	})
}

func (p promAPI) query(query, label string) (map[string]float64, error) {
	_, body := request(p.t, http.DefaultClient, http.MethodGet, "http://"+p.address+"/api/v1/query?query="+url.QueryEscape(query))
	var answer struct {
		Status, Error string
		Data          struct {
			Result []struct {
				Metric map[string]string
				Value  [2]any
			}
		}
	}
	if err := json.Unmarshal([]byte(body), &answer); err != nil || answer.Status != "success" {
		return nil, fmt.Errorf("%s: %s, error %w", query, body, err)
	}
	values := map[string]float64{}
	for _, r := range answer.Data.Result {
		text, _ := r.Value[1].(string)
		v, err := strconv.ParseFloat(text, 64)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", query, err)
		}
		values[r.Metric[label]] = v
	}
	if len(values) < len(answer.Data.Result) {
		return nil, fmt.Errorf("%s gives several series of one %s: %s", query, label, body)
	}
	return values, nil
}
