package main

import (
	"flag"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/version"

	"litellm_budget_exporter/collector/budget"
)

var update = flag.Bool("update", false, "write the golden files anew")

var landingNow = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func up(ago time.Duration) budget.SourceState {
	return budget.SourceState{Up: true, LastSuccess: budget.Some(landingNow.Add(-ago))}
}

func accusedEntity(scope budget.Scope, id string, verdict budget.Verdict, cause budget.Cause, reported, enforced, limit float64) *budget.Entity {
	return &budget.Entity{
		ID:         budget.ID{Scope: scope, Value: id},
		Reported:   budget.Some(reported),
		Enforced:   budget.Some(enforced),
		Divergence: budget.Some(enforced - reported),
		Cap:        budget.Cap{State: budget.CapKnown, Low: limit, High: limit},
		Verdict:    verdict,
		Cause:      cause,
	}
}

// incidents is a fleet with one of each verdict, and with names as hostile as LiteLLM lets them be.
func incidents() *budget.Snapshot {
	locked := accusedEntity(budget.Key, strings.Repeat("a1", 32), budget.FalselyLocked, budget.ReseedMultiple, 3.536, 10.607, 10)
	locked.Names = budget.Names{Alias: `<script>alert("x")</script>` + "\n" + `'"&🚀`, TeamID: "t-1", TeamAlias: "</td><img src=x>"}
	bypassed := accusedEntity(budget.Team, "team <b>", budget.Bypassed, budget.CounterLost, 120.5, 0.25, 100)
	bypassed.Names = budget.Names{Alias: "broken \xff\xfe UTF-8"}
	diverging := accusedEntity(budget.Key, strings.Repeat("b2", 32), budget.Diverging, budget.Unexplained, 1, 5e-9, 0)
	diverging.Cap = budget.Cap{State: budget.CapUnlimited}
	diverging.Names = budget.Names{Alias: strings.Repeat("long", 2500)}
	apart := accusedEntity(budget.Key, strings.Repeat("c3", 32), budget.Diverging, budget.DoubleApply, 1, 51, 100)
	apart.Cap.High = 150
	negative := accusedEntity(budget.Key, strings.Repeat("d4", 32), budget.Diverging, budget.Negative, -2, -2, 100)
	negative.Enforced, negative.Divergence, negative.Cap = budget.Optional[float64]{}, budget.Optional[float64]{}, budget.Cap{}
	well := accusedEntity(budget.Key, strings.Repeat("e5", 32), budget.OK, budget.NoCause, 1, 1, 100)
	well.Names.Alias = "all-is-well"

	redis := up(90 * time.Second)
	redis.Up, redis.Problem = false, "redis.example.com:6379: NOPERM: grant the user +@read on ~spend:*"
	return &budget.Snapshot{
		At:           landingNow.Add(-5 * time.Second),
		Release:      budget.ReleaseOf("1.84.0"),
		Sources:      map[budget.Source]budget.SourceState{budget.LiteLLM: up(7 * time.Second), budget.Redis: redis},
		CounterNames: "prefixed",
		Entities:     map[budget.Scope][]*budget.Entity{budget.Key: {diverging, well, negative, apart, locked}, budget.Team: {bypassed}},
		Fleets: map[budget.Scope]budget.Fleet{
			budget.Key: {
				Entities: 5, CapUnknown: 1, FalselyLocked: budget.Some(1), Bypassed: budget.Some(0),
				Diverging:   map[budget.Cause]int{budget.ReseedMultiple: 1, budget.Unexplained: 1, budget.DoubleApply: 1, budget.Negative: 1},
				ReportedSum: budget.Some(4.536), EnforcedSum: budget.Some(62.607), CountersPresent: budget.Some(4),
			},
			budget.Team: {Entities: 1},
		},
	}
}

func TestLandingPage(t *testing.T) {
	onlyReported := incidents()
	onlyReported.Sources = map[budget.Source]budget.SourceState{budget.LiteLLM: up(0)}
	onlyReported.Release = budget.Release{Version: "1.999.0", Assumed: true}
	onlyReported.Entities = nil

	quiet := incidents()
	quiet.Sources[budget.Redis] = up(time.Second)
	quiet.Release = budget.Release{Assumed: true}
	quiet.CounterNames = ""
	quiet.Entities = nil
	quiet.Fleets = map[budget.Scope]budget.Fleet{budget.Key: {
		Entities: 3, FalselyLocked: budget.Some(0), Bypassed: budget.Some(0), Diverging: map[budget.Cause]int{},
	}}

	unjudged := incidents()
	unjudged.Sources = map[budget.Source]budget.SourceState{budget.LiteLLM: {}, budget.Redis: {}}
	unjudged.Entities, unjudged.Fleets = nil, nil

	for name, snapshot := range map[string]*budget.Snapshot{
		"nothing-read":  nil,
		"incidents":     incidents(),
		"only-reported": onlyReported,
		"quiet":         quiet,
		"unjudged":      unjudged,
	} {
		t.Run(name, func(t *testing.T) {
			page := landing(t, snapshot)
			golden := filepath.Join("testdata", "landing", name+".html")
			if *update {
				if err := os.WriteFile(golden, []byte(page), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if page != string(want) {
				t.Errorf("the page is not %s (write it anew with -update and read the difference):\n%s", golden, page)
			}
		})
	}
}

// TestLandingPageListsTheWorst keeps the page short when a whole fleet is in trouble.
func TestLandingPageListsTheWorst(t *testing.T) {
	s := incidents()
	locked := s.Entities[budget.Key][4]
	for range maxAccused {
		s.Entities[budget.Key] = append(s.Entities[budget.Key], locked)
	}
	page := landing(t, s)
	if got := strings.Count(page, "falsely locked</td>"); got != maxAccused {
		t.Errorf("%d falsely locked keys are listed, want %d", got, maxAccused)
	}
	if want := "And 5 more"; !strings.Contains(page, want) {
		t.Errorf("the page does not say %q", want)
	}
}

func landing(t *testing.T, s *budget.Snapshot) string {
	t.Helper()
	version.Version = "0.0.0-test"
	p := landingPage{
		snapshot:    func() *budget.Snapshot { return s },
		now:         func() time.Time { return landingNow },
		metricsPath: "metrics",
		logger:      slog.New(slog.DiscardHandler),
	}
	w := httptest.NewRecorder()
	p.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
	if w.Code != http.StatusOK {
		t.Fatalf("the page answers %d: %s", w.Code, w.Body)
	}
	return w.Body.String()
}
