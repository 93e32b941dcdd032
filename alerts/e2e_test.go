package alerts

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"litellm_budget_exporter/collector/counters/redistest"
	"litellm_budget_exporter/conformance/programs"
	"litellm_budget_exporter/examples/simulator"
)

// patience is for how long what must come is waited for; nothing that works takes as long.
const patience = 60 * time.Second

// TestPagedForReal has a simulated LiteLLM lock a key, and the exporter, Prometheus with the rules and Alertmanager with the example
// routing tell whoever is on call.
func TestPagedForReal(t *testing.T) {
	t.Parallel()
	liteLLM, exporter := startExporter(t)
	receiver := startReceiver(t)
	dir := t.TempDir()
	write(t, filepath.Join(dir, rulesFile), hasty(t, rulesFile,
		"interval: 15s", "interval: 1s",
		"interval: 2m", "interval: 1s",
		"< 300", "< 10", // seconds for which a page goes on
		"for: 2m", "for: 1s", "for: 5m", "for: 1s",
	))
	routing, _, _ := strings.Cut(hasty(t, alertmanagerFile,
		"group_wait: 30s", "group_wait: 100ms", "group_wait: 5s", "group_wait: 100ms",
		"group_interval: 5m", "group_interval: 1s", "group_interval: 30s", "group_interval: 1s",
		"repeat_interval: 12h", "repeat_interval: 1s", "repeat_interval: 4h", "repeat_interval: 1s", "repeat_interval: 24h", "repeat_interval: 1s",
	), "\nreceivers:\n")
	alertmanager := programs.Alertmanager(t, dir, routing+receiver.config())
	prometheus := programs.Prometheus(t, dir, fmt.Sprintf(`
global: {scrape_interval: 1s}
rule_files: [%s]
alerting: {alertmanagers: [{static_configs: [{targets: [%q]}]}]}
scrape_configs:
  - job_name: litellm
    static_configs: [{targets: [%q]}]
`, rulesFile, alertmanager.Address, exporter.Address))

	key := simulator.DemoKey(simulator.FalselyLockedAlias)
	locked := receiver.waitFor(t, "page", "firing", "LiteLLMBudgetKeyFalselyLocked")
	for label, want := range map[string]string{
		"job": "litellm", "hashed_api_key": key, "api_key_alias": "checkout-prod", "team": "team-storefront", "team_alias": "Storefront", "severity": "critical",
	} {
		if got := locked.Labels[label]; got != want {
			t.Errorf("the page's %s is %q, want %q", label, got, want)
		}
	}
	receiver.eventually(t, func() error { // the cause may come to be known after the first page
		cause, err := causeOf(t, prometheus, key)
		if err != nil {
			return err
		}
		description := regexp.MustCompile(`^Key checkout-prod \(` + key + `\) of team Storefront in litellm has spent 3\.536 USD of its budget of 10\.000 USD ` +
			`as reported, but LiteLLM enforced 10\.607 USD and refused its requests, as last seen .+ ago\. Cause: .*` + cause + `.*\.$`)
		if got := receiver.newest("page", "firing", "LiteLLMBudgetKeyFalselyLocked").Annotations["description"]; !description.MatchString(got) {
			return fmt.Errorf("the page says %q", got)
		}
		return nil
	})
	if got, want := locked.Annotations["dashboard_url"], grafanaBase+"litellm-budget-entity?var-job=litellm&var-id="+key; got != want {
		t.Errorf("the page leads to %s, want %s", got, want)
	}
	receiver.waitFor(t, "chat", "firing", "LiteLLMBudgetKeyFalselyLocked")
	// Who was paged need not be warned as well.
	receiver.eventually(t, func() error { return inhibited(t, alertmanager, "LiteLLMBudgetKeyDiverging") })
	if bypassed := receiver.waitFor(t, "page", "firing", "LiteLLMBudgetTeamBypassed"); bypassed.Labels["team_alias"] != simulator.BypassedTeamAlias {
		t.Errorf("a team is bypassed: %v", bypassed)
	}

	// Mended: everybody hears of that.
	liteLLM.Heal(t.Context(), simulator.FalselyLocked)
	receiver.waitFor(t, "page", "resolved", "LiteLLMBudgetKeyFalselyLocked")
	receiver.waitFor(t, "chat", "resolved", "LiteLLMBudgetKeyFalselyLocked")

	// LiteLLM goes down while a team is bypassed. That is said, and of budgets nothing any more: not though what is said is said again
	// every second.
	liteLLM.Inject("", simulator.Answer(http.StatusServiceUnavailable, `{"error": {"message": "No connected db.", "type": "no_db_connection", "param": null, "code": "503"}}`))
	down := receiver.waitFor(t, "chat", "firing", "LiteLLMBudgetSourceDown")
	if down.Labels["source"] != "litellm" || down.Labels["job"] != "litellm" {
		t.Errorf("LiteLLM is down: %v", down)
	}
	muted := func() error { return inhibited(t, alertmanager, "LiteLLMBudgetTeamBypassed") }
	receiver.eventually(t, muted)
	again := func(times int) {
		before := receiver.count("chat", "LiteLLMBudgetSourceDown")
		receiver.eventually(t, func() error {
			if more := receiver.count("chat", "LiteLLMBudgetSourceDown") - before; more < times {
				return fmt.Errorf("the source being down was said again %d times, want %d", more, times)
			}
			return nil
		})
	}
	receiver.eventually(t, func() error { // one that was on its way, or a scrape that a busy machine missed, does not matter
		pages := receiver.count("page", "")
		again(3)
		if more := receiver.count("page", "") - pages; more > 0 {
			return fmt.Errorf("%d pages while LiteLLM is down", more)
		}
		return muted()
	})
}

// startExporter starts the demo's fleet with its incidents, and the exporter, as it is built, which reads it.
func startExporter(t *testing.T) (*simulator.Simulator, *programs.Server) {
	t.Helper()
	redis := redistest.Standalone(t)
	liteLLM, err := simulator.NewDemo(t.Context(), simulator.Options{Redis: redis.Client(t)})
	if err != nil {
		t.Fatal(err)
	}
	var running sync.WaitGroup
	running.Go(func() { _ = liteLLM.Run(t.Context()) }) // ends with the test's context
	t.Cleanup(running.Wait)
	api := httptest.NewServer(liteLLM.Handler())
	t.Cleanup(api.Close)

	dir := t.TempDir()
	write(t, filepath.Join(dir, "litellm"), simulator.DemoViewer)
	write(t, filepath.Join(dir, "config.yml"), fmt.Sprintf(`
litellm: {url: %q, api_key_file: litellm}
redis: {url: "redis://%s/0"}
intervals: {inventory: 1s, counters: 1s}
tolerance: {write_lag: 2s}
`, api.URL, redis.Addr))
	return liteLLM, programs.Start(t, programs.Exporter(t), "--config.file="+filepath.Join(dir, "config.yml"), "--web.listen-address=127.0.0.1:0")
}

// hasty is a file with its times made short: of each pair, the first is replaced by the second.
func hasty(t *testing.T, file string, pairs ...string) string {
	t.Helper()
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(pairs); i += 2 {
		if !strings.Contains(string(content), pairs[i]) {
			t.Fatalf("%s has no %q", file, pairs[i])
		}
	}
	return strings.NewReplacer(pairs...).Replace(string(content))
}

func write(t *testing.T, file, content string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

// get asks a server for JSON.
func get(t *testing.T, server *programs.Server, path string, into any) {
	t.Helper()
	response, err := http.Get("http://" + server.Address + path)
	if err != nil {
		t.Fatalf("%v; its log:\n%s", err, server.Log())
	}
	defer response.Body.Close()
	if err := json.NewDecoder(response.Body).Decode(into); err != nil || response.StatusCode != http.StatusOK {
		t.Fatalf("%s: status %d, error %v", path, response.StatusCode, err)
	}
}

// causeOf is the cause that Prometheus has for a key.
func causeOf(t *testing.T, prometheus *programs.Server, key string) (string, error) {
	t.Helper()
	var answer struct {
		Data struct {
			Result []struct{ Metric map[string]string }
		}
	}
	get(t, prometheus, "/api/v1/query?query="+url.QueryEscape(fmt.Sprintf("litellm_budget_key_divergence_cause{hashed_api_key=%q}", key)), &answer)
	if len(answer.Data.Result) != 1 {
		return "", fmt.Errorf("the locked key has %d causes, want 1: %v", len(answer.Data.Result), answer)
	}
	return answer.Data.Result[0].Metric["cause"], nil
}

// inhibited says why an alert is not muted by another one, if it is not.
func inhibited(t *testing.T, alertmanager *programs.Server, name string) error {
	t.Helper()
	var alerts []struct {
		Labels map[string]string
		Status struct{ InhibitedBy []string }
	}
	get(t, alertmanager, "/api/v2/alerts?active=true&inhibited=true", &alerts)
	for _, a := range alerts {
		if a.Labels["alertname"] == name && len(a.Status.InhibitedBy) > 0 {
			return nil
		}
	}
	return fmt.Errorf("%s is not inhibited: %v", name, alerts)
}

// receiver is who is told, under the names of the example's receivers.
type receiver struct {
	url string

	mu       sync.Mutex
	messages []message
	arrived  chan struct{} // of capacity 1
}

// message is what Alertmanager sends to a webhook.
type message struct {
	Receiver string
	Alerts   []alert
}

type alert struct {
	Status              string
	Labels, Annotations map[string]string
}

func startReceiver(t *testing.T) *receiver {
	t.Helper()
	r := &receiver{arrived: make(chan struct{}, 1)}
	server := httptest.NewServer(r)
	t.Cleanup(server.Close)
	r.url = server.URL
	return r
}

// config is the receivers of Alertmanager's configuration.
func (r *receiver) config() string {
	var b strings.Builder
	b.WriteString("\nreceivers:\n")
	for _, name := range []string{"page", "chat", "record"} {
		fmt.Fprintf(&b, "  - {name: %s, webhook_configs: [{url: %q, send_resolved: true}]}\n", name, r.url)
	}
	return b.String()
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	var m message
	if err := json.NewDecoder(request.Body).Decode(&m); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	r.mu.Lock()
	r.messages = append(r.messages, m)
	r.mu.Unlock()
	select {
	case r.arrived <- struct{}{}:
	default:
	}
}

// eventually waits until a check of what arrived holds.
func (r *receiver) eventually(t *testing.T, check func() error) {
	t.Helper()
	deadline := time.After(patience)
	for {
		err := check()
		if err == nil {
			return
		}
		select {
		case <-r.arrived:
		case <-time.After(100 * time.Millisecond): // the check may look elsewhere
		case <-deadline:
			t.Fatalf("%v; what arrived last: %v", err, r.last(3))
		}
	}
}

// waitFor waits until a receiver is told of an alert in a status.
func (r *receiver) waitFor(t *testing.T, name, status, alertname string) (found alert) {
	t.Helper()
	r.eventually(t, func() error {
		if found = r.newest(name, status, alertname); found.Labels == nil {
			return fmt.Errorf("%s was not told that %s is %s", name, alertname, status)
		}
		return nil
	})
	return found
}

// newest is the alert as it was last told; it has no labels if it never was.
func (r *receiver) newest(name, status, alertname string) alert {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, m := range slices.Backward(r.messages) {
		for _, a := range m.Alerts {
			if m.Receiver == name && a.Status == status && a.Labels["alertname"] == alertname {
				return a
			}
		}
	}
	return alert{}
}

// count is how many messages a receiver got that are of an alert, "" being any.
func (r *receiver) count(name, alertname string) (n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, m := range r.messages {
		if m.Receiver == name && (alertname == "" || slices.ContainsFunc(m.Alerts, func(a alert) bool { return a.Labels["alertname"] == alertname })) {
			n++
		}
	}
	return n
}

func (r *receiver) last(n int) []message {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.messages[max(0, len(r.messages)-n):])
}
