package alerts

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"gopkg.in/yaml.v3"

	"litellm_budget_exporter/collector/budget"
	"litellm_budget_exporter/collector/judgement"
	"litellm_budget_exporter/conformance/recorded"
)

// TestRecordedLockoutPagesOnce replays what happened to a real LiteLLM 1.84.0: a lock that lasted for the minute that its counter lives
// (BerriAI/litellm #27735). However it lies to the readings every 15 s and the scrapes every 60 s, it pages within two minutes of its
// onset, once.
func TestRecordedLockoutPagesOnce(t *testing.T) {
	t.Parallel()
	incident := load(t, "incident-reseed")
	var tests []promtoolTest
	for onset := 300 * time.Second; onset < 315*time.Second; onset += 5 * time.Second {
		for reading := time.Duration(0); reading < 15*time.Second; reading += 5 * time.Second {
			lastSeen := incident.readEvery15Seconds(onset, reading)
			for scrape := time.Duration(0); scrape < time.Minute; scrape += ruleInterval {
				name := fmt.Sprintf("onset at %v, readings from %v and scrapes from %v on", onset, reading, scrape)
				test := promtoolTest{Name: name, Interval: model(ruleInterval), Series: scrapes(lastSeen, scrape)}
				firing := test.expectFiring()
				if firing == 0 || firing > onset+2*time.Minute-groupWait {
					t.Errorf("%s: said at %v, want within two minutes", name, firing)
				}
				tests = append(tests, test)
			}
		}
	}
	rules, err := filepath.Abs(rulesFile)
	if err != nil {
		t.Fatal(err)
	}
	content, err := yaml.Marshal(map[string]any{"rule_files": []string{rules}, "evaluation_interval": model(ruleInterval), "tests": tests})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "replay.yml")
	if err := os.WriteFile(file, content, 0o600); err != nil {
		t.Fatal(err)
	}
	run(t, "promtool", "prometheus", "test", "rules", file)
}

const (
	ruleInterval = 15 * time.Second
	groupWait    = 5 * time.Second // of the example routing, for what pages
	replayed     = 15 * time.Minute
)

// TestRoutineDoesNotPage goes through what happens every day: there must be nothing that pages, however it lies to the readings.
func TestRoutineDoesNotPage(t *testing.T) {
	for name, story := range map[string]story{
		"reservations of cancelled requests stand at the cap, on a real 1.84.0": load(t, "scenario-cancel"),
		"a budget is reset on a real 1.84.0, and requests go on":                load(t, "scenario-reset-job"),
		"a budget is used up while spend is written once a minute":              usedUp(),
	} {
		t.Run(name, func(t *testing.T) {
			for onset := 300 * time.Second; onset < 315*time.Second; onset += time.Second {
				if exported := story.readEvery15Seconds(onset, 0); len(exported) > 0 {
					t.Errorf("%v after its onset: seen falsely locked", exported[0].from-onset)
				}
			}
		})
	}
}

// usedUp is a key that spends 2 cents a second until its 10 USD are spent, while LiteLLM writes the row once a minute. A minute later
// its counter expires.
func usedUp() (s story) {
	const limit, rate, flush, life = 10.0, 0.02, 60, 60
	spent := func(second int) float64 { return min(limit, rate*float64(second)) }
	for second := range 900 {
		now := moment{T: float64(second), Reported: spent(second - second%flush), MaxBudget: limit}
		if left := limit/rate + life - float64(second); left > 0 {
			now.Counter = new(strconv.FormatFloat(spent(second), 'f', -1, 64))
			now.PTTL = int(1000 * min(life, left))
		}
		s = append(s, now)
	}
	return s
}

// story is what LiteLLM reported and what the counter held, every second or two.
type story []moment

type moment struct {
	T         float64 // seconds
	Reported  float64
	MaxBudget float64    `json:"max_budget"`
	ResetAt   *time.Time `json:"budget_reset_at"`
	Counter   *string
	PTTL      int `json:"pttl_ms"`
}

// load reads the timeline of a recording of 1.84.0.
func load(t *testing.T, name string) story {
	t.Helper()
	raw, err := recorded.Raw("1.84.0", name)
	if err != nil {
		t.Fatal(err)
	}
	var file struct{ Timeline story }
	if err := json.Unmarshal(raw, &file); err != nil {
		t.Fatal(err)
	}
	// Some end with a remark on what came afterwards.
	moments := slices.DeleteFunc(file.Timeline, func(m moment) bool { return m.MaxBudget == 0 })
	if len(moments) == 0 {
		t.Fatalf("the recording %s has no timeline", name)
	}
	return moments
}

// at is the row and the counter as they were at a time after the onset; before it there was no counter.
func (s story) at(sinceOnset time.Duration) (budget.Row, budget.Counter) {
	now := s[0]
	now.Counter = nil
	for _, m := range s {
		if time.Duration(m.T*float64(time.Second)) > sinceOnset {
			break
		}
		now = m
	}
	row := budget.Row{
		ID: budget.ID{Scope: budget.Key, Value: "k"}, Spend: budget.Some(now.Reported), MaxBudget: budget.Some(now.MaxBudget),
		Link: budget.BudgetLink{State: budget.LinkNone},
	}
	if now.ResetAt != nil {
		row.ResetAt = budget.Some(*now.ResetAt)
	}
	if now.Counter == nil {
		return row, budget.Counter{State: budget.CounterAbsent}
	}
	value, err := strconv.ParseFloat(*now.Counter, 64)
	if err != nil {
		panic(err) // the recordings are ours
	}
	return row, budget.Counter{State: budget.CounterPresent, Value: value, TTL: time.Duration(now.PTTL) * time.Millisecond}
}

// seen is what the exporter exported from a time on: when it last saw the lock.
type seen struct{ from, last time.Duration }

// readEvery15Seconds judges the story as the exporter does: a counter every 15 s, and the pair that confirms a suspicion.
func (s story) readEvery15Seconds(onset, phase time.Duration) (exported []seen) {
	judge := judgement.New(judgement.Params{
		ToleranceUSD: 0.01, ToleranceRatio: 0.01, WriteLag: 15 * time.Second, CounterInterval: 15 * time.Second,
	})
	judge.SetRelease(budget.ReleaseOf("1.84.0"))
	track := &judgement.Track{}
	start := time.Unix(0, 0)
	row := func(at time.Duration) {
		r, _ := s.at(at - onset)
		r.ReadAt = start.Add(at)
		judge.Row(track, &r)
	}
	counter := func(at time.Duration) {
		_, c := s.at(at - onset)
		c.ReadAt = start.Add(at)
		judge.Counter(track, c, nil)
		if last := track.Entity().FalselyLockedLast; last.Known {
			exported = append(exported, seen{at, last.Value.Sub(start)})
		}
	}
	for at := phase; at < replayed; at += 15 * time.Second {
		if at == phase || track.Watched() || judge.CounterMoved(track) {
			row(at)
		}
		counter(at)
		if suspicion, suspected := track.Suspicion(); suspected {
			if due := suspicion.DueAt.Sub(start); due < at+15*time.Second {
				row(max(at, due))
				counter(max(at, due))
			}
		}
	}
	return exported
}

type promtoolTest struct {
	Name     string           `yaml:"name"`
	Interval string           `yaml:"interval"`
	Series   []promtoolSeries `yaml:"input_series"`
	Exprs    []promtoolExpr   `yaml:"promql_expr_test"`
}

type promtoolSeries struct {
	Series string `yaml:"series"`
	Values string `yaml:"values"`

	scraped []float64 // the values, < 0 where there is none
}

type promtoolExpr struct {
	Expr    string           `yaml:"expr"`
	At      string           `yaml:"eval_time"`
	Samples []map[string]any `yaml:"exp_samples"`
}

// scrapes are the series that Prometheus gets of what the exporter exports, scraped once a minute.
func scrapes(exported []seen, phase time.Duration) []promtoolSeries {
	const labels = `{job="litellm",instance="exporter:10047",hashed_api_key="k"`
	info := promtoolSeries{Series: `litellm_budget_key_info` + labels + `,api_key_alias="checkout-prod"}`}
	last := promtoolSeries{Series: `litellm_budget_key_falsely_locked_last_timestamp_seconds` + labels + `}`}
	var infos, lasts []string
	for at := time.Duration(0); at < replayed; at += ruleInterval {
		value, there := -1.0, "_"
		if (at-phase)%time.Minute == 0 && at >= phase {
			there = "1"
			for _, s := range exported {
				if s.from <= at {
					value = s.last.Seconds()
				}
			}
		}
		infos = append(infos, there)
		last.scraped = append(last.scraped, value)
		if value < 0 {
			lasts = append(lasts, "_")
		} else {
			lasts = append(lasts, strconv.FormatFloat(value, 'f', -1, 64))
		}
	}
	info.Values, last.Values = strings.Join(infos, " "), strings.Join(lasts, " ")
	return []promtoolSeries{last, info}
}

// expectFiring lets the test expect one page without a gap, from the first scrape that tells of the lock until five minutes after it was
// last seen. It returns when that begins, 0 if it never does.
func (p *promtoolTest) expectFiring() (begins time.Duration) {
	newest := -1.0
	for step, scraped := range p.Series[0].scraped {
		at := time.Duration(step) * ruleInterval
		newest = max(newest, scraped)
		expr := promtoolExpr{Expr: `count(ALERTS{alertname="LiteLLMBudgetKeyFalselyLocked",alertstate="firing"})`, At: model(at), Samples: []map[string]any{}}
		if newest >= 0 && at.Seconds()-newest < 300 {
			expr.Samples = append(expr.Samples, map[string]any{"labels": "{}", "value": 1})
			if begins == 0 {
				begins = at
			}
		}
		p.Exprs = append(p.Exprs, expr)
	}
	return begins
}

// model is a duration as Prometheus writes it.
func model(d time.Duration) string { return strconv.Itoa(int(d.Seconds())) + "s" }
