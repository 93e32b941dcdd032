package simulator

import (
	"context"
	"fmt"
	"math"
	"time"
)

// Incident is something that goes on in the demo's fleet, for as long as nobody heals it.
type Incident string

// The incidents.
const (
	// FalselyLocked is a key as BerriAI/litellm #27735 tells it: every request is refused because its counter
	// says 10.607 of 10, while LiteLLM reports 3.536.
	FalselyLocked Incident = "falsely_locked"
	// Bypassed is a team that spends on although LiteLLM reports 17 of 10: its counter restarted too low, and
	// this release believes it.
	Bypassed Incident = "bypassed"
	// Cold is a key that is not used, and so has no counter.
	Cold Incident = "cold"
	// NoBudget is a busy key without a cap.
	NoBudget Incident = "no_budget"
)

// What the incidents hang on.
const (
	FalselyLockedAlias = "checkout-prod"
	BypassedTeamID     = "team-growth"
	BypassedTeamAlias  = "Growth experiments" //nolint:gosec // the "pass" in "bypassed" is no password
	BypassedAlias      = "growth-ab-tests"    // the team's key
	ColdAlias          = "invoice-archive"
	NoBudgetAlias      = "platform-internal"
)

// The numbers of the incidents, in USD.
const (
	FalselyLockedReported = 3.536
	FalselyLockedEnforced = 10.607
	FalselyLockedCap      = 10.0
	BypassedReported      = 17.0
	BypassedCounter       = 6.0
	BypassedCap           = 10.0
	ColdReported          = 4.2
	ColdCap               = 25.0
)

// upkeep is how often the incidents are looked after: well within a counter's life.
const upkeep = counterTTL / 4

// beginIncidents lets the incidents begin. Each is kept as it is: whenever somebody looks, it is there.
func (s *Simulator) beginIncidents(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.raceForCounter(ctx); err != nil {
		return err
	}
	s.counters.set(ctx, TeamCounter(BypassedTeamID), pythonFloat(BypassedCounter), counterTTL)
	s.every(upkeep, func(ctx context.Context) {
		s.keepLocked(ctx)
		s.keepBypassed(ctx)
	})
	return nil
}

// raceForCounter is how the false lock comes about. The key has spent 3.5355 and was idle for longer than its counter lives. Three
// workers get a request each at once, find no counter, and add what the row says: 3 × 3.5355. The one request that came
// through before costs 0.0005 more.
func (s *Simulator) raceForCounter(ctx context.Context) error {
	const cost = 0.0005
	hash := DemoKey(FalselyLockedAlias)
	k := s.db.keys[hash]
	k.Spend, k.TotalSpend = FalselyLockedReported-cost, FalselyLockedReported-cost
	var race []Request
	for worker := range s.workers {
		race = append(race, Request{Key: hash, Worker: worker, Cost: cost, Estimate: estimateFactor * cost})
	}
	flights, _ := s.begin(ctx, race...)
	for _, f := range flights {
		if f != nil {
			f.settle(ctx)
		}
	}
	for _, w := range s.workers {
		s.flush(w)
	}
	if v, _ := s.counters.get(ctx, KeyCounter(hash)); math.Abs(v-FalselyLockedEnforced) > 1e-9 {
		return fmt.Errorf("simulator: the incident needs a release that seeds additively, three workers and a Redis: "+
			"release %s with %d workers left the counter at %v, not %v", s.release.name, len(s.workers), v, FalselyLockedEnforced)
	}
	s.keepLocked(ctx) // the same numbers without the dust of adding them up
	return nil
}

// keepLocked keeps the key locked. In a real installation the counter runs out a minute after the race, and the next race
// brings it back: with a client that pauses, the lock comes and goes. Here it stays, so that it can be seen at any time;
// its remaining life still goes down and up. Deleting the counter mends it until the next upkeep, as under load on a
// real 1.84.0.
func (s *Simulator) keepLocked(ctx context.Context) {
	if s.healed[FalselyLocked] {
		return
	}
	hash := DemoKey(FalselyLockedAlias)
	s.db.keys[hash].Spend = FalselyLockedReported
	s.counters.set(ctx, KeyCounter(hash), pythonFloat(FalselyLockedEnforced), counterTTL)
}

// keepBypassed keeps the team's counter below the cap, which the team's own traffic would reach within a day: as if
// Redis failed over and lost it again.
func (s *Simulator) keepBypassed(ctx context.Context) {
	if s.healed[Bypassed] {
		return
	}
	name := TeamCounter(BypassedTeamID)
	if v, there := s.counters.get(ctx, name); !there || v > BypassedCounter+1 {
		s.counters.set(ctx, name, pythonFloat(BypassedCounter), counterTTL)
	}
}

// Heal ends an incident the way an operator would: the locked key's counter is deleted, the team's is set to what was
// really spent, the cold key gets traffic, and the key without a budget gets one.
func (s *Simulator) Heal(ctx context.Context, i Incident) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.healed[i] = true
	switch i {
	case FalselyLocked:
		s.counters.del(ctx, KeyCounter(DemoKey(FalselyLockedAlias)))
	case Bypassed:
		s.counters.set(ctx, TeamCounter(BypassedTeamID), pythonFloat(s.db.teams[BypassedTeamID].Spend), counterTTL)
	case Cold:
		s.continueStream(Stream{Key: DemoKey(ColdAlias), Every: 5 * time.Second, Cost: 0.001})
	case NoBudget:
		s.db.keys[DemoKey(NoBudgetAlias)].MaxBudget = new(100.0)
	}
}
