package explain

import (
	"slices"
	"strings"
	"testing"
	"time"

	"litellm_budget_exporter/collector/budget"
)

// TestSummaryGoesByTheNumbers has the summary call nothing genuine, agreeing or healed that the two numbers do not show.
func TestSummaryGoesByTheNumbers(t *testing.T) {
	reading := Reading{ToleranceUSD: 0.01, ToleranceRatio: 0.01}
	key := func(limit budget.Cap, reported, counter float64) *budget.Entity {
		return entity(budget.Key, hash, "", limit, reported, counter)
	}
	immortal := func(reported, counter float64) *budget.Entity {
		e := accused(key(capOf(10), reported, counter), budget.Diverging, budget.Immortal, 1)
		e.Counter.TTL = budget.NoExpiry
		return e
	}
	negative := accused(key(capOf(10), 4.2, -3), budget.Diverging, budget.Negative, 1)
	negative.Enforced, negative.Divergence = budget.Some(4.2), budget.Some(0.0) // from 1.90.0 on with a cap
	endless := suspected(key(capOf(10), 3, 3), budget.Diverging)
	endless.Counter.TTL, endless.Suspected.Due = budget.NoExpiry, budget.Optional[time.Time]{}
	both := suspected(immortal(4.2, 12), budget.FalselyLocked)

	inFlight := suspected(key(capOf(10), 3, 4), budget.Diverging)
	inFlight.Tolerance = budget.Some(2.5)

	const genuine, agree, apart = "a genuine refusal", "The two numbers agree", "further apart than the 0.01"
	for name, c := range map[string]struct {
		entity *budget.Entity
		want   []string
		never  []string
		healed bool
	}{
		"spent by both":            {key(capOf(10), 10.02, 10.03), []string{genuine}, nil, true},
		"spent by one, as normal":  {key(capOf(10), 9.995, 10.002), []string{"Out of budget, by the number that LiteLLM enforces: 10.002 of 10.00. The books say 9.995, as near"}, []string{genuine}, true},
		"spent by one":             {key(capOf(10), 3.536, 10.607), []string{"10.607 of 10.00. Whether it is a false lock cannot be told now: the books say 3.536"}, []string{genuine}, true},
		"agreeing":                 {key(capOf(10), 3, 3.01), []string{agree}, nil, true},
		"spend on its way":         {key(capOf(10), 3, 4), []string{"is on its way to the database"}, []string{agree}, true},
		"too little to count":      {key(capOf(1000), 500, 503), []string{"no more than 1 % of it"}, []string{agree}, true},
		"behind":                   {key(capOf(10), 4, 3), []string{apart}, []string{agree}, true},
		"no cap, agreeing":         {key(budget.Cap{State: budget.CapUnlimited}, 3, 3), []string{"It has no cap, and the two numbers agree."}, nil, true},
		"no cap, spend on its way": {key(budget.Cap{State: budget.CapUnlimited}, 3, 4), []string{"It has no cap. LiteLLM goes by 4.00 and reports 3.00."}, []string{"agree"}, true},

		"suspected lock":                  {suspected(key(capOf(10), 3.536, 10.607), budget.FalselyLocked), []string{"Suspected since 2026-03-01 11:59:48 UTC. It looks falsely locked: refused at 10.607 of 10.00, although the books say 3.536.", "readings from 2026-03-01 12:00:03 UTC on settle it"}, []string{genuine}, false},
		"suspected lock, over":            {suspected(key(capOf(20), 3.536, 10.607), budget.FalselyLocked), []string{"It looked falsely locked, and the numbers no longer show it"}, []string{agree, genuine}, false},
		"suspected bypass":                {suspected(key(capOf(10), 17, 6), budget.Bypassed), []string{"It looks bypassed: the books say 17.00 of 10.00, and it is admitted all the same, because LiteLLM goes by 6.00"}, []string{agree}, false},
		"suspected divergence":            {suspected(key(capOf(20), 3.536, 10.607), budget.Diverging), []string{"LiteLLM goes by 10.607 and reports 3.536, which are " + apart}, []string{agree}, false},
		"suspected, and may be in flight": {inFlight, []string{"goes by 4.00 and reports 3.00. Requests in flight can explain as much for now, up to 2.50. It is diverging if that lasts; readings"}, []string{"further apart"}, false},
		"suspected of no end":             {endless, []string{"Its counter, at 3.00, has no end of life", "the next reading settles it"}, []string{apart}, false},

		"no end, and equal":           {immortal(4.2, 4.2), []string{"Diverging: the counter, at 4.20, has no end of life", "LiteLLM goes by 4.20 and reports 4.20."}, []string{"apart"}, false},
		"no end, and apart":           {immortal(3, 12), []string{"has no end of life", "goes by 12.00 and reports 3.00, which are " + apart}, nil, false},
		"no end, and suspected":       {both, []string{"Diverging: the counter, at 12.00", "It looks falsely locked"}, nil, false},
		"below 0, and raised":         {negative, []string{"the counter is at -3.00, and no spend is below 0. LiteLLM goes by 4.20 and reports 4.20."}, []string{"apart"}, false},
		"a row below 0, none to help": {accused(key(capOf(10), -1, -1), budget.Diverging, budget.Negative, 1), []string{"the reported spend is -1.00, and no spend is below 0"}, []string{"apart", "the counter is at"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			x := Explain(Input{Snapshot: snapshot("1.97.0"), Deployment: deployment, Reading: reading, Asked: Entity{Entity: c.entity}})
			for _, want := range c.want {
				if !strings.Contains(x.Summary, want) {
					t.Errorf("there is no %q in %q", want, x.Summary)
				}
			}
			for _, never := range c.never {
				if strings.Contains(x.Summary, never) {
					t.Errorf("it says %q: %q", never, x.Summary)
				}
			}
			if x.Healed() != c.healed {
				t.Errorf("healed: %v", x.Healed())
			}
		})
	}
}

// TestSuspicionOutlivesTheCounters explains a suspicion of a key that is diverging, while no counter is to be seen any more.
func TestSuspicionOutlivesTheCounters(t *testing.T) {
	e := suspected(accused(entity(budget.Key, hash, "", capOf(10), -1, -1), budget.Diverging, budget.Negative, 1), budget.FalselyLocked)
	s := snapshot("1.109.1")
	s.FleetCauses[budget.NoSharedCounters] = true
	x := Explain(Input{Snapshot: s, Deployment: deployment, Asked: Entity{Entity: e}})
	if !strings.Contains(x.Summary, "Suspected since ") {
		t.Error(x.Summary)
	}
}

// TestSuspectedTeamIsToldOfItsKey has what is suspected of a key's team matter more than that the key is exhausted.
func TestSuspectedTeamIsToldOfItsKey(t *testing.T) {
	e := entity(budget.Key, hash, "", capOf(10), 11, 11)
	team := suspected(entity(budget.Team, "t", "", capOf(10), 3, 12), budget.FalselyLocked)
	x := Explain(Input{Snapshot: snapshot("1.84.0"), Deployment: deployment, Asked: Entity{Entity: e}, Team: &Entity{Entity: team}})
	if !strings.HasPrefix(x.Summary, "Its team: suspected since ") || x.Healed() {
		t.Errorf("%s", x.Summary)
	}
}

// TestNothingHarmfulWhileSuspected offers nothing that would hurt if the suspicion turned out to be wrong.
func TestNothingHarmfulWhileSuspected(t *testing.T) {
	for verdict, want := range map[budget.Verdict][]string{
		budget.FalselyLocked: {"Wait until it is settled", "Raise the cap until the counter is right"},
		budget.Bypassed:      {"Wait until it is settled", "Block it, if the spending must stop at once"},
		budget.Diverging:     {"Wait until it is settled"},
	} {
		reported, counter := 3.0, 12.0
		if verdict == budget.Bypassed {
			reported, counter = counter, reported
		}
		e := suspected(entity(budget.Key, hash, "", capOf(10), reported, counter), verdict)
		var got []string
		for _, r := range Explain(Input{Snapshot: snapshot("1.84.0"), Deployment: deployment, Asked: Entity{Entity: e}}).Budgets[0].Remedies {
			got = append(got, r.Title)
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", verdict, got, want)
		}
	}
}

func TestNobodyHealsByAnOutage(t *testing.T) {
	unread := &budget.Entity{ID: budget.ID{Scope: budget.Key, Value: hash}, Reported: budget.Some(3.5), Cap: budget.Cap{State: budget.CapKnown, Low: 10, High: 10}}
	s := snapshot("1.97.0")
	s.Sources[budget.Redis] = budget.SourceState{Problem: "connection refused"}
	x := Explain(Input{Snapshot: s, Deployment: deployment, Asked: Entity{Entity: unread}})
	if x.Healed() || !slices.Equal(x.SourcesDown, []budget.Source{budget.Redis}) {
		t.Errorf("healed: %v, down: %v", x.Healed(), x.SourcesDown)
	}
}
