//go:build conformance

package real

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"

	"litellm_budget_exporter/conformance"
	"litellm_budget_exporter/conformance/recorded"
)

// testContract sends the requests of package conformance, and holds answers and counters against its checks and against
// the recording of this release, as is done with the simulator. It must come before anything else is made: the checks count.
func testContract(t *testing.T, s *stack) {
	t.Helper()
	traffic, err := s.population.Ask(s.client, s.urls[0], conformance.Traffic)
	if err != nil {
		t.Fatal(err)
	}
	t.Run("counters", func(t *testing.T) { testCounters(t, s) })
	s.settle(t)
	s.logsRefusals(t)
	answers, err := s.population.Ask(s.client, s.urls[0], conformance.Reads)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"chat-team", "chat-budget-exceeded"} {
		answers[name] = traffic[name]
	}
	for _, c := range conformance.Checks {
		t.Run(c.Name, func(t *testing.T) {
			if err := c.Run(answers); err != nil {
				t.Error(err)
			}
		})
	}
	t.Run("answers as recorded", func(t *testing.T) {
		want, err := conformance.Recorded(recording(t, s.release))
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range want.Differences(answers) {
			t.Error(d)
		}
	})
	t.Run("odd requests", func(t *testing.T) { testOdd(t, s) })
	t.Run("agents are tags", func(t *testing.T) { testAgents(t, s) })
}

// testAgents sends a User-Agent, which the recorded traffic leaves out: LiteLLM makes tags of it that have counters, as tags
// have from 1.84.0 on. The simulator is asked the same by a test of its own.
func testAgents(t *testing.T, s *stack) {
	t.Helper()
	bearer := s.population.Bearers["unlimited"]
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.urls[0]+"/v1/chat/completions",
		strings.NewReader(`{"model":"gpt-mock","max_tokens":20,"messages":[{"role":"user","content":"hi"}]}`))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+bearer)
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("User-Agent", "curl/7.88.1")
	response, err := s.client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	var want []string
	if since(s.release, "1.84.0") {
		want = []string{s.counterName("spend:tag:User-Agent: curl"), s.counterName("spend:tag:User-Agent: curl/7.88.1")}
	}
	eventually(t, func() error {
		got := strings.FieldsFunc(s.redis(t, "KEYS", "*spend:tag:User-Agent*"), func(r rune) bool { return r == '\n' })
		slices.Sort(got)
		if response.StatusCode != http.StatusOK || !slices.Equal(got, want) {
			return fmt.Errorf("status %d, counters of the User-Agent %q, want %q", response.StatusCode, got, want)
		}
		return nil
	})
}

// testCounters compares names, encoding and life of the counters that the traffic left with those that were recorded.
func testCounters(t *testing.T, s *stack) {
	t.Helper()
	recordedCounters, err := conformance.RecordedCounters(recording(t, s.release))
	if err != nil {
		t.Fatal(err)
	}
	want, unlike := map[string]conformance.Counter{}, 0
	for name, c := range recordedCounters {
		want[s.counterName(name)] = c
	}
	got := s.counters(t)
	for _, d := range conformance.CounterDifferences(want, got) {
		unlike++
		t.Error(d)
	}
	if unlike == 0 {
		t.Logf("%d counters, in the form %s", len(got), s.counterName("spend:…"))
	}
}

// counters are all spend counters by their names, in which hashes and prefix stand as placeholders.
func (s *stack) counters(t *testing.T) map[string]conformance.Counter {
	t.Helper()
	counters := map[string]conformance.Counter{}
	for name := range strings.SplitSeq(s.redis(t, "KEYS", "*spend:*"), "\n") {
		life, err := strconv.ParseInt(s.redis(t, "PTTL", name), 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		counters[s.population.Anonymous(name)] = conformance.Counter{Type: s.redis(t, "TYPE", name), Value: s.redis(t, "GET", name), PTTL: life}
	}
	return counters
}

// recording is the recorded release to compare with: this one, or the newest one before it.
func recording(t *testing.T, release string) string {
	t.Helper()
	for _, r := range slices.Backward(recorded.Releases()) {
		if since(release, r) {
			if r != release {
				t.Logf("%s was not recorded: compared with %s", release, r)
			}
			return r
		}
	}
	t.Fatalf("%s is older than all recordings", release)
	return ""
}

// settle waits until all that was spent is in the database, the last digits aside: those depend on the order of adding.
func (s *stack) settle(t *testing.T) {
	t.Helper()
	eventually(t, func() error {
		for scope, rows := range s.rows(t) {
			for id, row := range rows {
				counter := s.redis(t, "GET", s.counterName("spend:"+scope+":"+id)) // without one it has spent nothing lately
				if counter != "" && math.Abs(number(t, counter)-row.spend) > 1e-9 {
					return fmt.Errorf("%s %s: the row says %v, the counter %s", scope, id, row.spend, counter)
				}
			}
		}
		return nil
	})
}

// logsRefusals waits until the log of requests, which is written apart from what they spent, has the traffic's refusals.
func (s *stack) logsRefusals(t *testing.T) {
	t.Helper()
	eventually(t, func() error {
		if s.psql(t, `SELECT count(*) FROM "LiteLLM_SpendLogs" WHERE metadata->>'status' = 'failure'`) == "0" {
			return errors.New("no refusal is logged")
		}
		return nil
	})
}

// row is what the database has of a key or team.
type row struct {
	spend float64
	cap   *float64 // nil = unlimited
}

// rows reads all keys and teams, by scope and identity.
func (s *stack) rows(t *testing.T) map[string]map[string]row {
	t.Helper()
	all := map[string]map[string]row{}
	for scope, query := range map[string]string{
		"key": `SELECT k.token AS id, k.spend, coalesce(k.max_budget, b.max_budget) AS cap
			FROM "LiteLLM_VerificationToken" k LEFT JOIN "LiteLLM_BudgetTable" b USING (budget_id) WHERE k.team_id IS DISTINCT FROM 'litellm-dashboard'`,
		"team": `SELECT team_id AS id, spend, max_budget AS cap FROM "LiteLLM_TeamTable"`,
	} {
		all[scope] = map[string]row{}
		for line := range strings.Lines(s.psql(t, "SELECT row_to_json(r) FROM ("+query+") r")) {
			var r struct {
				ID    string
				Spend float64
				Cap   *float64
			}
			if err := json.Unmarshal([]byte(line), &r); err != nil {
				t.Fatal(err)
			}
			all[scope][r.ID] = row{r.Spend, r.Cap}
		}
	}
	return all
}
