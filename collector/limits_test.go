package collector

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"litellm_budget_exporter/collector/budget"
)

// near is a key at a fraction of a cap of 100.
func near(id string, fraction float64) *budget.Entity {
	return &budget.Entity{
		ID: budget.ID{Scope: budget.Key, Value: id}, Cap: usdCap(100),
		Reported: budget.Some(100 * fraction), Enforced: budget.Some(100 * fraction), Verdict: budget.OK,
	}
}

// with changes a copy of the entity.
func with(e *budget.Entity, change func(*budget.Entity)) *budget.Entity {
	changed := *e
	change(&changed)
	return &changed
}

func judged(id string, v budget.Verdict) *budget.Entity {
	return with(near(id, 0.01), func(e *budget.Entity) { e.Verdict = v })
}

func unlimited(id string, spend float64) *budget.Entity {
	return &budget.Entity{
		ID: budget.ID{Scope: budget.Key, Value: id}, Cap: budget.Cap{State: budget.CapUnlimited}, Reported: budget.Some(spend),
	}
}

func ids(es []*budget.Entity) string {
	var all []string
	for _, e := range es {
		all = append(all, e.ID.Value)
	}
	return strings.Join(all, " ")
}

func TestChoice(t *testing.T) {
	for _, c := range []struct {
		name  string
		all   []*budget.Entity
		had   []*budget.Entity
		limit int
		want  string
	}{
		{"room for all", []*budget.Entity{near("a", 0.1), near("b", 0.2)}, nil, 2, "a b"},
		{"no room", []*budget.Entity{near("a", 0.1)}, nil, 0, ""},
		{"nearest the cap", []*budget.Entity{near("a", 0.1), near("b", 0.9), near("c", 0.5)}, nil, 2, "b c"},
		{
			"nearest by the larger of the two spends",
			[]*budget.Entity{
				near("a", 0.5),
				with(near("b", 0.4), func(e *budget.Entity) { e.Enforced = budget.Some(60.0) }),
				with(near("c", 0.4), func(e *budget.Entity) { e.Reported = budget.Some(55.0) }),
			}, nil, 2, "b c",
		},
		{
			"nearest by the one spend that is known",
			[]*budget.Entity{near("a", 0.3), with(near("b", 0.4), func(e *budget.Entity) { e.Enforced = budget.Optional[float64]{} })}, nil, 1, "b",
		},
		{
			"verdicts first",
			[]*budget.Entity{near("a", 2), judged("b", budget.Diverging), judged("c", budget.Bypassed), judged("d", budget.FalselyLocked)},
			nil, 3, "b c d",
		},
		{
			"the worst verdicts when there are too many",
			[]*budget.Entity{judged("a", budget.Diverging), judged("b", budget.Bypassed), judged("c", budget.FalselyLocked)}, nil, 2, "b c",
		},
		{
			"lately locked or bypassed before all that are well",
			[]*budget.Entity{
				near("a", 2),
				with(near("b", 0.1), func(e *budget.Entity) { e.FalselyLockedLast = budget.Some(now) }),
				with(near("c", 0.1), func(e *budget.Entity) { e.BypassedLast = budget.Some(now) }),
				judged("d", budget.Diverging),
			}, nil, 3, "b c d",
		},
		{
			"those with a cap before those without, these by spend",
			[]*budget.Entity{unlimited("a", 1000), unlimited("b", 2000), near("c", 0)}, nil, 2, "b c",
		},
		{
			"a cap not read counts as none",
			[]*budget.Entity{with(near("a", 3), func(e *budget.Entity) { e.Cap = budget.Cap{} }), near("b", 0.1)}, nil, 1, "b",
		},
		{
			"a deliberate block is not near its cap",
			[]*budget.Entity{with(near("a", 0.5), func(e *budget.Entity) { e.Cap = usdCap(0) }), near("b", 0.1)}, nil, 1, "b",
		},
		{
			"negative spend is none",
			[]*budget.Entity{with(near("a", 0), func(e *budget.Entity) { e.Reported, e.Enforced = budget.Some(-5.0), budget.Some(-5.0) }), near("b", 0)},
			nil, 1, "a",
		},
		{"by id where all else is equal", []*budget.Entity{near("a", 0.5), near("b", 0.5), near("c", 0.5)}, nil, 2, "a b"},
		{"a little nearer is not enough", []*budget.Entity{near("a", 0.52), near("b", 0.5)}, []*budget.Entity{near("b", 0.6)}, 1, "b"},
		{"clearly nearer is", []*budget.Entity{near("a", 0.53), near("b", 0.5)}, []*budget.Entity{near("b", 0.6)}, 1, "a"},
		{"whoever has series keeps them where all else is equal", []*budget.Entity{near("a", 0), near("b", 0)}, []*budget.Entity{near("b", 0)}, 1, "b"},
		{
			"the same without a cap",
			[]*budget.Entity{unlimited("a", 104), unlimited("b", 100), unlimited("c", 106)}, []*budget.Entity{unlimited("a", 1), unlimited("b", 1)}, 2, "a c",
		},
		{
			"a verdict displaces whoever has series",
			[]*budget.Entity{near("a", 2), near("b", 2), judged("c", budget.Diverging)}, []*budget.Entity{near("a", 2), near("b", 2)}, 2, "a c",
		},
		{"whoever vanished keeps nothing", []*budget.Entity{near("b", 0.1), near("d", 0.2)}, []*budget.Entity{near("a", 1), near("c", 1)}, 1, "d"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := ids(choose(c.all, c.had, c.limit)); got != c.want {
				t.Errorf("chosen are %q, not %q", got, c.want)
			}
		})
	}
}

// TestChoiceIsThatOfASort compares with the plain way, which is to sort everybody.
func TestChoiceIsThatOfASort(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		n, limit := 1+random.IntN(300), 1+random.IntN(50)
		all := make([]*budget.Entity, n)
		for i := range all {
			all[i] = near(fmt.Sprintf("%03d", i), float64(random.IntN(100))/100)
		}
		sorted := slices.Clone(all)
		slices.SortStableFunc(sorted, func(a, b *budget.Entity) int {
			switch x, y := nearness(a), nearness(b); {
			case x > y:
				return -1
			case x < y:
				return 1
			}
			return 0
		})
		want := slices.Clone(sorted[:min(n, limit)])
		slices.SortFunc(want, func(a, b *budget.Entity) int { return strings.Compare(a.ID.Value, b.ID.Value) })
		if got := choose(all, nil, limit); !slices.Equal(got, want) {
			t.Fatalf("of %d, limit %d: chosen are %s, not %s", n, limit, ids(got), ids(want))
		}
	}
}

// fleetOf is a snapshot of a whole fleet of keys.
func fleetOf(keys ...*budget.Entity) *budget.Snapshot {
	return &budget.Snapshot{
		Entities: map[budget.Scope][]*budget.Entity{budget.Key: keys},
		Fleets:   map[budget.Scope]budget.Fleet{budget.Key: {Entities: len(keys)}},
	}
}

func TestWithoutSeriesAreCounted(t *testing.T) {
	got := text(t, always(fleetOf(near("a", 0.1), near("b", 0.9), near("c", 0.5)), 2))
	for _, want := range []string{
		`litellm_budget_entities{scope="key"} 3`,
		`litellm_budget_entities_without_series{scope="key"} 1`,
		`litellm_budget_key_spend_reported_usd{hashed_api_key="b"} 90`,
		`litellm_budget_key_spend_reported_usd{hashed_api_key="c"} 50`,
	} {
		if !strings.Contains(got, want+"\n") {
			t.Errorf("there is no %s in\n%s", want, got)
		}
	}
	if strings.Contains(got, `"a"`) {
		t.Errorf("there are series beyond the limit:\n%s", got)
	}
}

func TestAMillionKeys(t *testing.T) {
	const keys, limit = 1_000_000, 100
	es := make([]*budget.Entity, keys)
	for i := range es {
		es[i] = near(fmt.Sprintf("%07d", i), float64(i%1000)/2000)
	}
	es[123_456].Verdict = budget.FalselyLocked
	got := text(t, always(fleetOf(es...), limit))
	for _, want := range []string{
		fmt.Sprintf(`litellm_budget_entities{scope="key"} %g`, float64(keys)),
		fmt.Sprintf(`litellm_budget_entities_without_series{scope="key"} %d`, keys-limit),
		`litellm_budget_key_info{api_key_alias="",budget_id="",hashed_api_key="0123456",org_id="",project_id="",team="",team_alias="",user=""} 1`,
	} {
		if !strings.Contains(got, want+"\n") {
			t.Errorf("there is no %s", want)
		}
	}
	if n := strings.Count(got, "\nlitellm_budget_key_info{"); n != limit {
		t.Errorf("%d keys have series, want %d", n, limit)
	}
}

func TestLimitCanBeChanged(t *testing.T) {
	c := always(fleetOf(near("a", 0.1), near("b", 0.9)), 1)
	want := `litellm_budget_key_spend_reported_usd{hashed_api_key="a"} 10`
	if got := text(t, c); strings.Contains(got, want) {
		t.Errorf("there are series beyond the limit:\n%s", got)
	}
	c.SetLimit(2)
	if got := text(t, c); !strings.Contains(got, want) {
		t.Errorf("there is no %s in\n%s", want, got)
	}
}

// TestSeriesDoNotFlap has a thousand keys whose spends wander by a percent between snapshots, and a limit among
// those that lie close together.
func TestSeriesDoNotFlap(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	var current atomic.Pointer[budget.Snapshot]
	c := New(current.Load, 100)
	var chosen []string
	changes := 0
	for range 50 {
		keys := make([]*budget.Entity, 1000)
		for i := range keys {
			keys[i] = near(fmt.Sprintf("%04d", i), 0.5+0.01*random.Float64())
		}
		current.Store(fleetOf(keys...))
		now := spendLabels(t, c)
		if len(now) != 100 {
			t.Fatalf("%d keys have series", len(now))
		}
		if chosen != nil && !slices.Equal(chosen, now) {
			changes++
		}
		chosen = now
	}
	if changes > 0 {
		t.Errorf("the choice changed %d times", changes)
	}
}

// spendLabels lists the keys that have series.
func spendLabels(t *testing.T, c *Collector) []string {
	t.Helper()
	reg := prometheus.NewRegistry()
	reg.MustRegister(c)
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(families, func(f *dto.MetricFamily) bool { return f.GetName() == "litellm_budget_key_spend_reported_usd" })
	var keys []string
	for _, m := range families[i].GetMetric() {
		keys = append(keys, labelValue(m, "hashed_api_key"))
	}
	return keys
}

// TestScrapesDoNotChoose: the choice is made once for each snapshot, however often it is scraped.
func TestScrapesDoNotChoose(t *testing.T) {
	s := fleetOf(near("a", 0.50), near("b", 0.51))
	c := always(s, 1)
	first := spendLabels(t, c)
	s.Entities[budget.Key][0] = near("a", 0.9) // a snapshot never changes; this shows whether it is looked at again
	if second := spendLabels(t, c); !slices.Equal(first, second) {
		t.Errorf("the second scrape chose %q after %q", second, first)
	}
}

// TestOldSnapshotsAreNotKept: with a million entities, one more snapshot than needed is a lot of memory.
func TestOldSnapshotsAreNotKept(t *testing.T) {
	var current atomic.Pointer[budget.Snapshot]
	c := New(current.Load, 1)
	gone := make(chan struct{})
	func() {
		old := fleetOf(near("a", 0.50), near("b", 0.51))
		runtime.AddCleanup(old, func(struct{}) { close(gone) }, struct{}{})
		current.Store(old)
		spendLabels(t, c)
	}()
	current.Store(fleetOf())
	for deadline := time.Now().Add(10 * time.Second); ; {
		runtime.GC()
		select {
		case <-gone:
			runtime.KeepAlive(c)
			return
		case <-time.After(time.Millisecond):
		}
		if time.Now().After(deadline) {
			t.Fatal("the collector keeps a snapshot that is no longer the newest")
		}
	}
}
