//go:build conformance

package real

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"litellm_budget_exporter/collector/budget"
	"litellm_budget_exporter/conformance/programs"
)

// exporter is the program as it is built, reading a stack with the credentials that the README asks for and no more.
type exporter struct {
	binary string
	server *programs.Server
}

// redisPassword is that of the Redis user budget_exporter.
const redisPassword = "read-only-password"

// startExporter has the intervals shortened, so that the suite need not wait for the default ones.
func startExporter(t *testing.T, s *stack) *exporter {
	t.Helper()
	dir := t.TempDir()
	acl := []string{"ACL", "SETUSER", "budget_exporter", "reset", "on", ">" + redisPassword, "resetkeys", "~spend:*", "~litellm_*_buffer*", "-@all", "+get", "+pttl", "+llen"}
	if s.namespace != "" {
		acl = append(acl, "~"+s.namespace+":spend:*", "~"+s.namespace+":litellm_*_buffer*")
	}
	s.redis(t, acl...)
	s.redis(t, "ACL", "SAVE") // for a Redis that is started again
	for name, text := range map[string]string{
		"litellm": s.readOnlyKey(t), "redis": redisPassword,
		"config.yml": fmt.Sprintf(`
litellm: {url: %q, api_key_file: litellm}
redis: {addresses: ["127.0.0.1:%s"], username: budget_exporter, password_file: redis, namespace: %q}
intervals: {inventory: 2s, counters: 1s}
tolerance: {write_lag: 8s}
`, s.urls[0], s.redisPort, s.namespace),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	e := &exporter{binary: programs.Exporter(t)}
	e.server = programs.Start(t, e.binary, "--config.file="+filepath.Join(dir, "config.yml"), "--web.listen-address=127.0.0.1:0")
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the exporter's log:\n%s", e.server.Log())
		}
	})
	return e
}

// readOnlyKey makes the key that the README tells to make.
func (s *stack) readOnlyKey(t *testing.T) string {
	t.Helper()
	routes := []string{"/key/list", "/v2/key/info", "/v2/team/list"}
	if since(s.release, "1.84.0") {
		routes = append(routes, "/budget/list", "/spend/logs/v2")
	}
	if !since(s.release, "1.104.0") {
		routes = append(routes, "/key/info")
	}
	// The user is there already when a second exporter reads the same stack.
	_ = s.ask(t, "/user/new", s.population.MasterKey, map[string]any{"user_id": "budget-exporter", "user_role": "proxy_admin_viewer", "auto_create_key": false})
	return s.newKey(t, fmt.Sprintf("budget-exporter-%d", time.Now().UnixNano()), map[string]any{"user_id": "budget-exporter", "allowed_routes": routes}).raw
}

// metrics are scraped metrics by name.
type metrics map[string]*dto.MetricFamily

func (e *exporter) scrape(t *testing.T) metrics {
	t.Helper()
	response, err := http.Get("http://" + e.server.Address + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return families
}

// by are the values of a metric by one of its labels. Further labels must not tell series apart.
func (m metrics) by(name, label string) map[string]float64 {
	values := map[string]float64{}
	for _, series := range m[name].GetMetric() {
		for _, l := range series.GetLabel() {
			if l.GetName() == label {
				values[l.GetValue()] = series.GetGauge().GetValue() + series.GetCounter().GetValue()
			}
		}
	}
	return values
}

// of is a key's value of a metric, if there is one.
func (m metrics) of(metric string, k virtualKey) (float64, bool) {
	v, there := m.by("litellm_budget_key_"+metric, "hashed_api_key")[k.hash]
	return v, there
}

// lacks says that there is no such series of a key.
func (m metrics) lacks(metric string, k virtualKey) error {
	if v, there := m.of(metric, k); there {
		return fmt.Errorf("%s of %s is %v", metric, k.hash, v)
	}
	return nil
}

// cause is the cause that is shown for a key; "" = none.
func (m metrics) cause(k virtualKey) string {
	for _, series := range m["litellm_budget_key_divergence_cause"].GetMetric() {
		labels := map[string]string{}
		for _, l := range series.GetLabel() {
			labels[l.GetName()] = l.GetValue()
		}
		if labels["hashed_api_key"] == k.hash {
			return labels["cause"]
		}
	}
	return ""
}

// knows waits until the exporter has a key in its inventory.
func (e *exporter) knows(t *testing.T, k virtualKey) {
	t.Helper()
	eventually(t, func() error {
		if _, there := e.scrape(t).of("spend_reported_usd", k); !there {
			return fmt.Errorf("the exporter does not know key %s", k.hash)
		}
		return nil
	})
}

// shows waits until a metric of a key is so.
func (e *exporter) shows(t *testing.T, metric string, k virtualKey, want float64) {
	t.Helper()
	eventually(t, func() error {
		m := e.scrape(t)
		if got, there := m.of(metric, k); !there || got != want {
			return fmt.Errorf("%s of %s is %v (there: %t), want %v; reported %v, enforced %v, cap %v", metric, k.hash, got, there, want,
				m.by("litellm_budget_key_spend_reported_usd", "hashed_api_key")[k.hash], m.by("litellm_budget_key_spend_enforced_usd", "hashed_api_key")[k.hash],
				m.by("litellm_budget_key_max_budget_usd", "hashed_api_key")[k.hash])
		}
		return nil
	})
}

// names waits until the exporter names the cause of a key's divergence.
func (e *exporter) names(t *testing.T, k virtualKey, want budget.Cause) {
	t.Helper()
	var shown []string
	eventually(t, func() error {
		got := e.scrape(t).cause(k)
		if len(shown) == 0 || got != shown[len(shown)-1] {
			shown = append(shown, got)
		}
		if got != string(want) {
			return fmt.Errorf("the causes were, one after the other, %q, want %q", shown, want)
		}
		return nil
	})
}

// explanation is what the suite reads of an explanation.
type explanation struct {
	Verdict string
	Summary string
	Budgets []explainedBudget // the key's own is the first
}

type explainedBudget struct {
	ID       string
	Cause    *struct{ Name string }
	Remedies []struct {
		Title    string
		Commands []string
	}
}

func (x explanation) is(verdict string) error {
	if x.Verdict != verdict {
		return fmt.Errorf("the verdict is %q, want %q: %s", x.Verdict, verdict, x.Summary)
	}
	return nil
}

// explain has the program explain a key, in words to the test's log.
func (e *exporter) explain(t *testing.T, k virtualKey) explanation {
	t.Helper()
	asked := []string{"explain", "--exporter=http://" + e.server.Address, k.hash}
	t.Logf("litellm_budget_exporter %s\n%s", strings.Join(asked, " "), run(t, e.binary, asked...))
	var x explanation
	if err := json.Unmarshal([]byte(run(t, e.binary, append(asked, "--output=json")...)), &x); err != nil {
		t.Fatal(err)
	}
	return x
}

// mend runs the commands of a remedy as they are printed.
func (b explainedBudget) mend(t *testing.T, title string) {
	t.Helper()
	for _, remedy := range b.Remedies {
		if remedy.Title != title {
			continue
		}
		for _, command := range remedy.Commands {
			out, err := exec.Command("sh", "-c", command).CombinedOutput()
			if err != nil {
				t.Fatalf("%s: %v\n%s", command, err, out)
			}
			t.Logf("$ %s\n%s", command, out)
		}
		return
	}
	t.Fatalf("no remedy %q in %+v", title, b.Remedies)
}

// testNumbers: every number of every key and team is that of psql and redis-cli, to the last digit.
func testNumbers(t *testing.T, s *stack, e *exporter) {
	t.Helper()
	for _, name := range slices.Sorted(maps.Keys(s.population.Bearers)) {
		for range 3 { // sums of small amounts have long fractions
			// Refusals of the one that has nothing left are all right.
			if _, err := (virtualKey{s, s.population.Bearers[name], ""}).chat(len(name)%len(s.urls), cheap); err != nil {
				t.Fatal(err)
			}
		}
	}
	s.settle(t)
	compared := map[string]int{}
	eventually(t, func() error {
		clear(compared)
		rows, m := s.rows(t), e.scrape(t)
		for scope, label := range map[string]string{"key": "hashed_api_key", "team": "team"} {
			shown := func(metric string) map[string]float64 { return m.by("litellm_budget_"+scope+"_"+metric, label) }
			reported, counters, enforced, caps := shown("spend_reported_usd"), shown("redis_spend_usd"), shown("spend_enforced_usd"), shown("max_budget_usd")
			for id, row := range rows[scope] {
				want := map[string]*float64{"reported": &row.spend, "enforced": &row.spend, "cap": row.cap}
				if text := s.redis(t, "GET", s.counterName("spend:"+scope+":"+id)); text != "" {
					counter := number(t, text)
					want["counter"], want["enforced"] = &counter, &counter
				}
				for what, values := range map[string]map[string]float64{"reported": reported, "counter": counters, "enforced": enforced, "cap": caps} {
					if want[what] != nil {
						compared[what]++
					}
					if got, there := values[id]; there != (want[what] != nil) || there && got != *want[what] {
						return fmt.Errorf("%s %s: %s is %v (there: %t), psql or redis-cli say %s", scope, id, what, got, there, orNothing(want[what]))
					}
				}
			}
			if len(reported) != len(rows[scope]) {
				return fmt.Errorf("%d of %d in scope %s", len(reported), len(rows[scope]), scope)
			}
		}
		return nil
	})
	t.Logf("as psql and redis-cli say: %v", compared)
	if compared["counter"] < 8 || compared["cap"] < 6 {
		t.Errorf("only %v were compared", compared)
	}
	m := e.scrape(t)
	if got := m.by("litellm_budget_litellm_info", "version"); got[s.release] != 1 {
		t.Errorf("the release is shown as %v", got)
	}
	if got := m.by("litellm_budget_source_up", "source"); got["litellm"] != 1 || got["redis"] != 1 {
		t.Errorf("the sources are shown as %v", got)
	}
}

func orNothing(v *float64) string {
	if v == nil {
		return "nothing"
	}
	return fmt.Sprint(*v)
}
