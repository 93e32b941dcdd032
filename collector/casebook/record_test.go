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
		fmt.Fprintf(&text, "%s %s %s\n", refusal.Scope, refusal.Window, explained(refusal))
	}
	return text.String()
}

func explained(r explain.Refusal) string {
	r.ID = ""
	_, rest, _ := strings.Cut(r.Text(), " by ")
	return rest
}
