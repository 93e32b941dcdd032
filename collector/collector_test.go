package collector

import (
	"bytes"
	"flag"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors/version"
	"github.com/prometheus/client_golang/prometheus/testutil"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"litellm_budget_exporter/collector/budget"
)

var update = flag.Bool("update", false, "rewrite the golden files and the README's tables")

// always returns a collector of one snapshot.
func always(s *budget.Snapshot, limit int) *Collector {
	return New(func() *budget.Snapshot { return s }, limit)
}

// text is the exposition of the collectors in Prometheus' text format.
func text(t *testing.T, cs ...prometheus.Collector) string {
	t.Helper()
	reg := prometheus.NewPedanticRegistry()
	reg.MustRegister(cs...)
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	for _, f := range families {
		if _, err := expfmt.MetricFamilyToText(&b, f); err != nil {
			t.Fatal(err)
		}
	}
	return b.String()
}

// goldens are the collectors behind every golden file.
func goldens() map[string]prometheus.Collector {
	all := map[string]prometheus.Collector{"telemetry": usedTelemetry()}
	for name, s := range snapshots {
		all[name] = always(s, 100)
	}
	return all
}

func TestGolden(t *testing.T) {
	for name, c := range goldens() {
		t.Run(name, func(t *testing.T) {
			got := text(t, c)
			file := filepath.Join("testdata", name+".prom")
			if *update {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if got != string(want) {
				t.Errorf("the exposition is not what %s says (go test -update rewrites it):\n%s", file, firstDifference(string(want), got))
			}
		})
	}
}

func firstDifference(want, got string) string {
	w, g := strings.Split(want, "\n"), strings.Split(got, "\n")
	for i := range max(len(w), len(g)) {
		var a, b string
		if i < len(w) {
			a = w[i]
		}
		if i < len(g) {
			b = g[i]
		}
		if a != b {
			return fmt.Sprintf("line %d\nwant %s\ngot  %s", i+1, a, b)
		}
	}
	return ""
}

func TestGoldenFilesAreAllInUse(t *testing.T) {
	files, err := filepath.Glob("testdata/*.prom")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if _, used := goldens()[strings.TrimSuffix(filepath.Base(f), ".prom")]; !used {
			t.Errorf("%s belongs to no snapshot", f)
		}
	}
}

func TestPromtoolFindsNothing(t *testing.T) {
	promtool, err := exec.LookPath("promtool")
	if err != nil {
		t.Fatalf("promtool is needed (Debian package prometheus): %v", err)
	}
	for name, c := range goldens() {
		t.Run(name, func(t *testing.T) {
			check := exec.Command(promtool, "check", "metrics")
			check.Stdin = strings.NewReader(text(t, c))
			if out, err := check.CombinedOutput(); err != nil || len(out) > 0 {
				t.Errorf("promtool check metrics: %v\n%s", err, out)
			}
		})
	}
}

func TestLintFindsNothing(t *testing.T) {
	for name, c := range goldens() {
		reg := prometheus.NewPedanticRegistry()
		reg.MustRegister(c)
		problems, err := testutil.GatherAndLint(reg)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range problems {
			t.Errorf("%s: %s: %s", name, p.Metric, p.Text)
		}
	}
}

// TestCatalogueIsWhatIsEmitted holds the catalogue, which the docs are made from, against what is really there.
func TestCatalogueIsWhatIsEmitted(t *testing.T) {
	emitted := map[string]*dto.MetricFamily{}
	collectors := append(slices.Collect(maps.Values(goldens())), version.NewCollector(namespace))
	for _, c := range collectors {
		reg := prometheus.NewPedanticRegistry()
		reg.MustRegister(c)
		families, err := reg.Gather()
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range families {
			emitted[f.GetName()] = f
		}
	}
	for _, m := range catalogue {
		for s := range m.descs {
			name := m.nameOf(s)
			f := emitted[name]
			if f == nil {
				t.Errorf("%s is in the catalogue, but in no golden file", name)
				continue
			}
			delete(emitted, name)
			if got := strings.ToLower(f.GetType().String()); got != string(m.typ) {
				t.Errorf("%s is a %s, by the catalogue a %s", name, got, m.typ)
			}
			if f.GetHelp() != m.helpOf(s) {
				t.Errorf("%s: HELP is %q, by the catalogue %q", name, f.GetHelp(), m.helpOf(s))
			}
			var labels []string
			for _, l := range f.GetMetric()[0].GetLabel() {
				labels = append(labels, l.GetName())
			}
			if want := slices.Sorted(slices.Values(m.labelNames(s))); !slices.Equal(labels, want) {
				t.Errorf("%s has the labels %q, by the catalogue %q", name, labels, want)
			}
		}
	}
	for name := range emitted {
		t.Errorf("%s is emitted, but not in the catalogue", name)
	}
}

func TestNoSnapshotYet(t *testing.T) {
	if got := text(t, always(nil, 100)); got != "" {
		t.Errorf("without a snapshot there is\n%s", got)
	}
}

// TestUnknownIsAbsent takes away what is known of one entity, piece by piece, and sees the series go.
func TestUnknownIsAbsent(t *testing.T) {
	known := *snapshots["full"].Entities[budget.Key][0]
	for _, c := range []struct {
		forget func(*budget.Entity)
		gone   []string
	}{
		{func(e *budget.Entity) { e.Reported.Known = false }, []string{"_spend_reported_usd"}},
		{func(e *budget.Entity) { e.Enforced.Known = false }, []string{"_spend_enforced_usd"}},
		{func(e *budget.Entity) { e.Divergence.Known = false }, []string{"_spend_divergence_usd"}},
		{func(e *budget.Entity) { e.Tolerance.Known = false }, []string{"_divergence_tolerance_usd"}},
		{func(e *budget.Entity) { e.Counter.State = budget.CounterUnread }, []string{"_redis_spend_usd", "_redis_ttl_seconds"}},
		{func(e *budget.Entity) { e.Counter.State = budget.CounterAbsent }, []string{"_redis_spend_usd", "_redis_ttl_seconds"}},
		{func(e *budget.Entity) { e.Counter.State = budget.CounterUnreadable }, []string{"_redis_spend_usd", "_redis_ttl_seconds"}},
		{func(e *budget.Entity) { e.Cap.State = budget.CapUnknown }, []string{"_max_budget_usd"}},
		{func(e *budget.Entity) { e.Cap.State = budget.CapUnlimited }, []string{"_max_budget_usd"}},
		{func(e *budget.Entity) { e.Cap.High = 15 }, []string{"_max_budget_usd"}},
		{func(e *budget.Entity) { e.ResetAt.Known = false }, []string{"_budget_reset_timestamp_seconds"}},
		{func(e *budget.Entity) { e.LockJudged = false }, []string{"_bypassed", "_falsely_locked"}},
		{func(e *budget.Entity) { e.FalselyLockedLast.Known = false }, []string{"_falsely_locked_last_timestamp_seconds"}},
		{func(e *budget.Entity) { e.Cause = budget.NoCause }, []string{"_divergence_cause"}},
		{func(e *budget.Entity) { e.FirstAt = time.Time{} }, []string{"_spend_observed_usd_total"}},
	} {
		less := known
		c.forget(&less)
		before, after := namesOf(t, &known), namesOf(t, &less)
		var gone []string
		for _, name := range before {
			if !slices.Contains(after, name) {
				gone = append(gone, strings.TrimPrefix(name, "litellm_budget_key"))
			}
		}
		if !slices.Equal(gone, c.gone) {
			t.Errorf("gone are %q, not %q", gone, c.gone)
		}
		if len(after)+len(gone) != len(before) {
			t.Errorf("something came in the place of %q: %q", c.gone, after)
		}
	}
}

// namesOf lists the metrics of one entity, sorted.
func namesOf(t *testing.T, e *budget.Entity) []string {
	t.Helper()
	reg := prometheus.NewPedanticRegistry()
	reg.MustRegister(always(&budget.Snapshot{Entities: map[budget.Scope][]*budget.Entity{e.ID.Scope: {e}}}, 1))
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, f := range families {
		names = append(names, f.GetName())
	}
	return names
}

func TestVanishedEntitiesTakeTheirSeriesAlong(t *testing.T) {
	var s atomic.Pointer[budget.Snapshot]
	s.Store(snapshots["full"])
	c := New(s.Load, 100)
	if !strings.Contains(text(t, c), hash("1")) {
		t.Fatal("the key has no series to begin with")
	}
	later := *snapshots["full"]
	later.Entities = map[budget.Scope][]*budget.Entity{budget.Key: later.Entities[budget.Key][1:]}
	s.Store(&later)
	got := text(t, c)
	for _, gone := range []string{hash("1"), "litellm_budget_team_"} {
		if strings.Contains(got, gone) {
			t.Errorf("%q is still there:\n%s", gone, got)
		}
	}
	if !strings.Contains(got, hash("2")) {
		t.Error("a key that did not vanish lost its series")
	}
}

func TestOddLabelValues(t *testing.T) {
	long := strings.Repeat("x", 10_000)
	for _, c := range []struct{ name, value, want string }{
		{"quotes", `say "hi"`, `say "hi"`},
		{"backslash", `C:\temp\`, `C:\temp\`},
		{"newlines", "two\nlines\r\n", "two\nlines\r\n"},
		{"emoji", "🤖 bot", "🤖 bot"},
		{"invalid UTF-8", "caf\xe9\xff!", "caf\uFFFD!"},
		{"a zero byte", "a\x00b", "a\x00b"},
		{"long", long, long},
		{"empty", "", ""},
		{"braces", `{a="b"} 1`, `{a="b"} 1`},
	} {
		t.Run(c.name, func(t *testing.T) {
			odd := *snapshots["full"]
			odd.Release.Version = c.value
			odd.BufferLengths = map[string]int64{c.value: 1}
			odd.Entities = map[budget.Scope][]*budget.Entity{
				budget.Key:  {{ID: keyID("1"), Names: budget.Names{Alias: c.value}}, {ID: keyID("2"), Names: budget.Names{Alias: "even"}}},
				budget.Team: {{ID: teamID(c.value), Windows: []budget.EntityWindow{{Duration: c.value, MaxBudget: budget.Some(1.0)}}, FirstAt: now}},
			}
			exposed := text(t, always(&odd, 100))
			parser := expfmt.NewTextParser(model.UTF8Validation)
			families, err := parser.TextToMetricFamilies(strings.NewReader(exposed))
			if err != nil {
				t.Fatalf("the exposition cannot be parsed: %v", err)
			}
			aliases := map[string]string{}
			for _, m := range families["litellm_budget_key_info"].GetMetric() {
				aliases[labelValue(m, "hashed_api_key")] = labelValue(m, "api_key_alias")
			}
			if want := map[string]string{hash("1"): c.want, hash("2"): "even"}; !maps.Equal(aliases, want) {
				t.Errorf("the aliases came out as %q", aliases)
			}
			for name, label := range map[string]string{
				"litellm_budget_team_window_max_budget_usd":    "window",
				"litellm_budget_team_spend_observed_usd_total": "team",
				"litellm_budget_team_info":                     "team",
				"litellm_budget_spend_buffer_length":           "buffer",
			} {
				if got := labelValue(families[name].GetMetric()[0], label); got != c.want {
					t.Errorf("%s came out of %s as %q", label, name, got)
				}
			}
		})
	}
}

func labelValue(m *dto.Metric, name string) string {
	for _, l := range m.GetLabel() {
		if l.GetName() == name {
			return l.GetValue()
		}
	}
	return ""
}

func TestObservedSpendHasItsCreation(t *testing.T) {
	reg := prometheus.NewPedanticRegistry()
	reg.MustRegister(always(snapshots["full"], 100))
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() != "litellm_budget_team_spend_observed_usd_total" {
			continue
		}
		c := f.GetMetric()[0].GetCounter()
		if c.GetValue() != 12.5 || !c.GetCreatedTimestamp().AsTime().Equal(now.Add(-time.Hour)) {
			t.Errorf("observed spend is %v, not 12.5 since an hour", c)
		}
		return
	}
	t.Error("there is no observed spend")
}

// TestConcurrentScrapes has many scrapes run while snapshots follow one another. Every scrape must show one
// snapshot, and none an older one than the scrape that ended before it began.
func TestConcurrentScrapes(t *testing.T) {
	numbered := func(n int) *budget.Snapshot {
		s := &budget.Snapshot{Fleets: map[budget.Scope]budget.Fleet{budget.Key: {Entities: n, ReportedSum: budget.Some(float64(n))}}}
		for i := range 50 {
			id := budget.ID{Scope: budget.Key, Value: fmt.Sprintf("%02d", i)}
			s.Entities = map[budget.Scope][]*budget.Entity{
				budget.Key: append(s.Entities[budget.Key], &budget.Entity{ID: id, Reported: budget.Some(float64(n))}),
			}
		}
		return s
	}
	var current atomic.Pointer[budget.Snapshot]
	current.Store(numbered(0))
	c := New(current.Load, 20)
	scrape := func() (int, error) {
		reg := prometheus.NewRegistry()
		reg.MustRegister(c)
		families, err := reg.Gather()
		if err != nil {
			return 0, err
		}
		seen := map[float64]bool{}
		for _, f := range families {
			if n := f.GetName(); n == "litellm_budget_key_spend_reported_usd" || n == "litellm_budget_entities" {
				for _, m := range f.GetMetric() {
					seen[m.GetGauge().GetValue()] = true
				}
			}
		}
		if len(seen) != 1 {
			return 0, fmt.Errorf("one scrape shows the snapshots %v", seen)
		}
		for n := range seen {
			return int(n), nil
		}
		panic("unreachable")
	}

	const last = 100
	var scrapers sync.WaitGroup
	for range 4 {
		scrapers.Go(func() {
			for newest := 0; newest < last; {
				n, err := scrape()
				if err != nil {
					t.Error(err)
					return
				}
				if n < newest {
					t.Errorf("a scrape went back from snapshot %d to %d", newest, n)
					return
				}
				newest = n
			}
		})
	}
	for n := 1; n <= last; n++ {
		current.Store(numbered(n))
	}
	scrapers.Wait()
}
