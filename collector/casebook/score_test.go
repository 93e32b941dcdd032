package casebook_test

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"litellm_budget_exporter/collector/budget"
	"litellm_budget_exporter/collector/casebook"
)

// cases reads the casebook, by file name.
func cases(t *testing.T) map[string]*casebook.Case {
	t.Helper()
	files, err := filepath.Glob("cases/*.yml")
	if err != nil || len(files) == 0 {
		t.Fatalf("there are no cases: %v", err)
	}
	all := map[string]*casebook.Case{}
	for _, file := range files {
		f, err := os.Open(file)
		if err != nil {
			t.Fatal(err)
		}
		c, err := casebook.Read(f)
		_ = f.Close()
		if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		all[strings.TrimSuffix(filepath.Base(file), ".yml")] = c
	}
	return all
}

// verdicts, worst first.
var verdicts = []budget.Verdict{budget.FalselyLocked, budget.Bypassed, budget.Diverging}

// told is the last cause that was given under the worst verdict: none for an entity that was ok all the time.
func told(r *casebook.Replayed) budget.Cause {
	for _, v := range verdicts {
		for _, s := range slices.Backward(r.Steps) {
			if s.Entity.Verdict == v {
				return s.Entity.Cause
			}
		}
	}
	return budget.NoCause
}

// score counts the entities that were put down to one cause.
type score struct{ right, wrong, missed int }

func (s score) precision() float64 { return share(s.right, s.right+s.wrong) }
func (s score) recall() float64    { return share(s.right, s.right+s.missed) }

func share(part, whole int) float64 {
	if whole == 0 {
		return 1
	}
	return float64(part) / float64(whole)
}

// TestScore holds what is said of the whole casebook against what should be, cause by cause. Healthy entities count: a
// cause that is told of one is wrong. So does a cause told on the way, before enough was seen, unless it was
// that nothing explains it.
func TestScore(t *testing.T) {
	scores := map[budget.Cause]*score{budget.NoCause: {}}
	for _, c := range budget.Causes {
		scores[c] = &score{}
	}
	hasty, fleets := 0, map[budget.FleetCause]int{}
	all := cases(t)
	for _, name := range slices.Sorted(maps.Keys(all)) {
		c := all[name]
		r := c.Replay()
		for _, cause := range budget.FleetCauses {
			if r.Told[cause] && c.FleetCause != cause {
				t.Errorf("%s: %s is told of the fleet", name, cause)
			}
			if c.FleetCause == cause {
				fleets[cause]++
			}
		}
		for i, e := range c.Entities {
			want, got := e.Expect.Cause, told(r.Entities[i])
			if e.Expect.Verdict != budget.OK && want == budget.NoCause {
				t.Errorf("%s: %s %s: the case does not say which cause it expects", name, e.Scope, e.ID)
			}
			for _, v := range verdicts {
				if n := r.Entities[i].Episodes[v]; n > 0 && e.Expect.Verdict != v {
					t.Errorf("%s: of %s %s %d episodes of %s are counted, want none", name, e.Scope, e.ID, n, v)
				}
			}
			if got == want {
				scores[got].right++
			} else {
				scores[got].wrong++
				scores[want].missed++
				t.Errorf("%s: %s %s is put down to %q, want %q\n%s", name, e.Scope, e.ID, got, want, trace(r.Entities[i]))
			}
			for _, s := range r.Entities[i].Steps {
				on := s.Entity.Cause
				if on == budget.PinnedAtCap && want == budget.ReservationLeak {
					continue // so is a leak that fills the budget called for ten minutes
				}
				if on != budget.NoCause && on != budget.Unexplained && on != want && on != got {
					hasty++
					t.Errorf("%s: %s %s is put down to %q at %s, before %q\n%s", name, e.Scope, e.ID, on, s.At, got, trace(r.Entities[i]))
					break
				}
			}
		}
	}
	var table strings.Builder
	fmt.Fprintf(&table, "%-18s %6s %6s %6s %10s %7s\n", "cause", "right", "wrong", "missed", "precision", "recall")
	for _, c := range append([]budget.Cause{budget.NoCause}, budget.Causes...) {
		s := scores[c]
		label := string(c)
		if c == budget.NoCause {
			label = "(healthy)"
		}
		fmt.Fprintf(&table, "%-18s %6d %6d %6d %10.2f %7.2f\n", label, s.right, s.wrong, s.missed, s.precision(), s.recall())
		if s.right == 0 {
			t.Errorf("there is no case of %s", label)
		}
	}
	for _, cause := range budget.FleetCauses {
		if fleets[cause] == 0 {
			t.Errorf("there is no case of %s", cause)
		}
	}
	t.Logf("\n%stold too early: %d", &table, hasty)
}

// trace is what was read of an entity and said of it, a line for each reading.
func trace(r *casebook.Replayed) string {
	var lines strings.Builder
	for _, s := range r.Steps {
		e := s.Entity
		fmt.Fprintf(&lines, "%9s reported %-8s counter %-8s tolerance %-8s %s %s %.2f %v\n", s.At.Round(time.Millisecond),
			amount(e.Reported), amount(budget.Optional[float64]{Value: e.Counter.Value, Known: e.Counter.State == budget.CounterPresent}),
			amount(e.Tolerance), e.Verdict, e.Cause, e.Confidence, e.Evidence)
	}
	return lines.String()
}

func amount(o budget.Optional[float64]) string {
	if !o.Known {
		return "-"
	}
	return fmt.Sprintf("%.4g", o.Value)
}
