package casebook_test

import (
	"bytes"
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"litellm_budget_exporter/collector/budget"
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
			c, text := filed(t, &recorder)
			again := c.Replay()
			if want, got := said(live, asked, asked.Steps[len(asked.Steps)-1]), said(again, again.Key(), again.Key().Steps[len(again.Key().Steps)-1]); got != want {
				t.Errorf("at the end:\n%swant:\n%s", got, want)
			}
			if want, got := said(live, asked, asked.Worst()), said(again, again.Key(), again.Key().Worst()); got != want {
				t.Errorf("at its worst:\n%swant:\n%s", got, want)
			}
			if t.Failed() {
				t.Logf("%s\nlive:\n%s\nagain:\n%s", text, trace(asked), trace(again.Key()))
			}
		})
	}
}

// filed writes a recording to a file and reads it.
func filed(t *testing.T, r *casebook.Recorder) (c *casebook.Case, text string) {
	t.Helper()
	var file bytes.Buffer
	if err := casebook.Write(&file, r.Case()); err != nil {
		t.Fatal(err)
	}
	text = file.String()
	c, err := casebook.Read(&file)
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	return c, text
}

// fleetTells are the entities of which only the others of their fleet tell the cause, and the cause that their recording
// comes to. A recording holds one key with its team, or one team.
var fleetTells = map[string]budget.Cause{
	"19163-flush-stuck team-1":         budget.ReservationLeak,
	"30684-first-sight-of-all key-1":   budget.Unexplained,
	"30684-first-sight-of-all key-2":   budget.Unexplained,
	"30684-first-sight-of-all key-3":   budget.Unexplained,
	"30684-first-sight-of-all key-4":   budget.Unexplained,
	"33872-buffer-lost team-1":         budget.DoubleApply,
	"one-counter-of-many-halved key-1": budget.CounterLost,
}

// TestOneRecordingSaysTheSame records every entity of every case once, at the last moment at which it was what the case
// expects, and judges that again: at its end it must come to the same verdict and cause, and never to a worse verdict.
func TestOneRecordingSaysTheSame(t *testing.T) {
	all := cases(t)
	for _, name := range slices.Sorted(maps.Keys(all)) {
		for i, e := range all[name].Entities {
			t.Run(name+" "+e.ID, func(t *testing.T) {
				saysTheSame(t, all[name], i, fleetTells[name+" "+e.ID])
			})
		}
	}
}

// TestOneRecordingSaysTheSameLongAfter has what lasts to the end of a case last for 20 minutes more, with and without
// traffic, and read often, before it is recorded.
func TestOneRecordingSaysTheSameLongAfter(t *testing.T) {
	for how, on := range map[string]struct {
		every time.Duration
		usd   float64
	}{"steady": {15 * time.Second, 0}, "with traffic": {15 * time.Second, 0.002}, "read often": {5 * time.Second, 0.001}} {
		all := cases(t)
		for _, name := range slices.Sorted(maps.Keys(all)) {
			c := all[name]
			lasts := !slices.ContainsFunc(c.Entities, func(e *casebook.Entity) bool { return e.Expect.EndsBy != nil })
			if !lasts {
				continue
			}
			goOn(c, on.every, on.usd)
			for i, e := range c.Entities {
				t.Run(how+" "+name+" "+e.ID, func(t *testing.T) {
					saysTheSame(t, c, i, fleetTells[name+" "+e.ID])
				})
			}
		}
	}
}

// goOn lets a case go on for 20 minutes in which both sides of all entities rise by as much in every reading.
func goOn(c *casebook.Case, every time.Duration, usd float64) {
	end := time.Duration(0)
	for _, e := range c.Entities {
		end = max(end, e.Readings[len(e.Readings)-1].At.Duration)
	}
	for _, e := range c.Entities {
		var reported, counter casebook.Number
		var ttl *casebook.Span
		for _, r := range e.Readings {
			if r.Reported != nil {
				reported = *r.Reported
			}
			if r.Counter != nil {
				counter, ttl = *r.Counter, r.TTL
			}
		}
		if ttl == nil || !ttl.Never {
			ttl = &casebook.Span{Duration: 50 * time.Second}
		}
		for i := range int(20 * time.Minute / every) {
			r := casebook.Reading{At: casebook.Span{Duration: end + time.Duration(i+1)*every}, Reported: &reported, Counter: &counter}
			more := float64(i) * usd
			if reported.Word == "" {
				r.Reported = casebook.USD(reported.USD + more)
			}
			if counter.Word == "" {
				r.Counter, r.TTL = casebook.USD(counter.USD+more), ttl
			}
			e.Readings = append(e.Readings, r)
		}
	}
}

// saysTheSame records an entity once and judges that again. What it then must come to can differ from the case by
// what only its fleet tells.
func saysTheSame(t *testing.T, c *casebook.Case, entity int, fleetTells budget.Cause) {
	t.Helper()
	live := c.Replay()
	asked := live.Entities[entity]
	expected := c.Entities[entity].Expect.Verdict
	var at casebook.Step
	for _, s := range asked.Steps {
		if s.Entity.Verdict == expected {
			at = s
		}
	}
	if at.Entity == nil {
		t.Fatalf("it never is %s", expected)
	}
	var recorder casebook.Recorder
	recorder.Take(live.Explain(asked, at))
	recorded, text := filed(t, &recorder)
	again := recorded.Replay().Entities[0]
	got := again.Steps[len(again.Steps)-1].Entity
	if cause := cmp.Or(fleetTells, at.Entity.Cause); got.Verdict != expected || got.Cause != cause {
		t.Errorf("it says %s (%s), want %s (%s)", got.Verdict, got.Cause, expected, cause)
	}
	if worst := again.Worst().Entity.Verdict; worst != expected {
		t.Errorf("at its worst it is %s, want %s", worst, expected)
	}
	if t.Failed() {
		t.Logf("%s\nlive:\n%s\nagain:\n%s", text, trace(asked), trace(again))
	}
}

// TestOneRecordingKnowsWhatHeldBefore records a lock once, after what an operator did about it: the cap, the reset and
// whether it was blocked must be as they were at each time.
func TestOneRecordingKnowsWhatHeldBefore(t *testing.T) {
	for name, did := range map[string]string{
		"raised the cap":  "max_budget: 17.071",
		"blocked it":      "blocked: true",
		"moved the reset": "reset_at: 48h",
	} {
		t.Run(name, func(t *testing.T) {
			c, err := casebook.Read(strings.NewReader(`format: 1
title: t
release: 1.84.0
entities:
  - scope: key
    id: key-1
    max_budget: 10
    reset_at: 24h
    readings:
      - {at: 0s, reported: 3.536, counter: absent}
      - {at: 60s, reported: 3.536, counter: absent, left_out: 3}
      - {at: 75s, reported: 3.536, counter: 10.607}
      - {at: 15m, reported: 3.536, counter: 10.607, left_out: 55}
      - {at: 15m15s, reported: 3.536, counter: 10.607, ` + did + `}
      - {at: 17m, reported: 3.536, counter: 10.607, left_out: 6}
`))
			if err != nil {
				t.Fatal(err)
			}
			live := c.Replay().Entities[0]
			var recorder casebook.Recorder
			recorder.Take(c.Replay().Explain(live, live.Steps[len(live.Steps)-1]))
			recorded, text := filed(t, &recorder)
			if !strings.HasPrefix(recorded.Title, "A key that was falsely locked") {
				t.Errorf("it is titled %q", recorded.Title)
			}
			again := recorded.Replay().Entities[0]
			course := func(p *casebook.Replayed) (said []string) {
				for _, s := range p.Steps {
					now := fmt.Sprint(s.Entity.Verdict, s.Entity.Cap, s.Row.Blocked, s.Entity.ResetAt.Value.Sub(casebook.Start))
					if len(said) == 0 || !strings.HasSuffix(said[len(said)-1], now) {
						said = append(said, fmt.Sprint(s.At.Round(time.Second), " ", now))
					}
				}
				return said
			}
			if got, want := course(again), course(live); !slices.Equal(got, want) {
				t.Errorf("its course is\n%s\nwant\n%s\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"), text)
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
