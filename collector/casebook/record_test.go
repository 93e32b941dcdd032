package casebook_test

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"litellm_budget_exporter/collector/casebook"
	"litellm_budget_exporter/collector/explain"
)

// byTheFleet are cases in which the other entities tell the cause of one. A recording holds one entity and its team.
var byTheFleet = []string{"30684-first-sight-of-all", "one-counter-of-many-halved"}

// TestRecordingSaysTheSame records every case as --watch does, writes it, reads it, and judges it again: verdict, cause and
// what the next request meets must be those of the case itself, at its end and at its worst.
func TestRecordingSaysTheSame(t *testing.T) {
	all := cases(t)
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if slices.Contains(byTheFleet, name) {
			continue
		}
		t.Run(name, func(t *testing.T) {
			live := all[name].Replay()
			asked := live.Key()
			var recorder casebook.Recorder
			for _, step := range asked.Steps {
				if step.Entity.Counter.ReadAt.IsZero() {
					continue // explained once both sides were read
				}
				recorder.Take(live.Explain(asked, step))
			}
			var text bytes.Buffer
			if err := casebook.Write(&text, recorder.Case()); err != nil {
				t.Fatal(err)
			}
			c, err := casebook.Read(bytes.NewReader(text.Bytes()))
			if err != nil {
				t.Fatalf("%v\n%s", err, &text)
			}
			again := c.Replay()
			if want, got := said(live, asked, asked.Steps[len(asked.Steps)-1]), said(again, again.Key(), again.Key().Steps[len(again.Key().Steps)-1]); got != want {
				t.Errorf("at the end:\n%swant:\n%s", got, want)
			}
			if want, got := said(live, asked, asked.Worst()), said(again, again.Key(), again.Key().Worst()); got != want {
				t.Errorf("at its worst:\n%swant:\n%s", got, want)
			}
			if t.Failed() {
				t.Logf("%s\nlive:\n%s\nagain:\n%s", &text, trace(asked), trace(again.Key()))
			}
		})
	}
}

// said is what an explanation says of verdicts, causes and refusals, without names and times.
func said(r *casebook.Replay, asked *casebook.Replayed, step casebook.Step) string {
	x := r.Explain(asked, step)
	var text strings.Builder
	fmt.Fprintf(&text, "%s, next %s\n", x.Verdict, x.Next.Outcome)
	for _, b := range x.Budgets {
		cause := "none"
		if b.Cause != nil {
			cause = string(b.Cause.Name)
		}
		fmt.Fprintf(&text, "%s %s: %s by %s, %s at %s of %s, %s\n", b.Scope, b.Window, b.Verdict, cause, b.Outcome, b.EnforcedText(), b.CapText(), b.Text)
	}
	for _, refusal := range x.Refusals {
		fmt.Fprintf(&text, "%s %s own=%t %s\n", refusal.Scope, refusal.Window, refusal.Own, explained(refusal))
	}
	return text.String()
}

// TestRecordingLeavesOutWindowsThatItCannotName records a key with a window of which the cap is not known, and with one
// that is gone at the end: the file must be one that can be read.
func TestRecordingLeavesOutWindowsThatItCannotName(t *testing.T) {
	c, err := casebook.Read(strings.NewReader(`format: 1
title: t
release: 1.90.0
entities:
  - scope: key
    id: key-1
    windows: [{duration: 1h, max_budget: 3}, {duration: 1d, max_budget: 30}, {duration: 7d, max_budget: 90}]
    readings:
      - {at: 0s, reported: 1, counter: 1, windows: {1h: 0.25, 1d: 0.5, 7d: 1}}
      - {at: 15s, reported: 1, counter: 1.5, windows: {1h: 0.5, 1d: 0.75, 7d: 1.5}}
`))
	if err != nil {
		t.Fatal(err)
	}
	live := c.Replay()
	var recorder casebook.Recorder
	for i, step := range live.Key().Steps {
		x := live.Explain(live.Key(), step)
		for _, b := range x.Budgets {
			if b.Window == "1d" {
				b.MaxBudget = nil
			}
		}
		if i > 0 {
			x.Budgets = slices.DeleteFunc(x.Budgets, func(b *explain.Budget) bool { return b.Window == "1h" })
		}
		recorder.Take(x)
	}
	var text bytes.Buffer
	if err := casebook.Write(&text, recorder.Case()); err != nil {
		t.Fatal(err)
	}
	again, err := casebook.Read(bytes.NewReader(text.Bytes()))
	if err != nil {
		t.Fatalf("%v\n%s", err, &text)
	}
	if got := fmt.Sprint(again.Entities[0].Readings[1].Windows); got != fmt.Sprint(map[string]casebook.Number{"7d": {USD: 1.5}}) {
		t.Errorf("the windows' counters are %s\n%s", got, &text)
	}
}

// TestRefusalForOneModelStaysThat replays a refusal that was by no cap of the key itself.
func TestRefusalForOneModelStaysThat(t *testing.T) {
	own := cases(t)["37736-model-budget"].Replay().Key().Refusals
	if len(own) != 1 || own[0].Own {
		t.Errorf("%+v", own)
	}
}

func explained(r explain.Refusal) string {
	r.ID = ""
	_, rest, _ := strings.Cut(r.Text(), " by ")
	return rest
}
