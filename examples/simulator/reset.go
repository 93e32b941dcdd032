package simulator

import (
	"context"
	"maps"
	"slices"
	"time"
)

// resetDue is LiteLLM's reset job: every budget whose time has come starts again. Real proxies each run it up to
// 1.97.0 and elect a leader from 1.99.4 on; here it runs once.
func (s *Simulator) resetDue(ctx context.Context) {
	if s.databaseDown {
		return
	}
	now := s.now()
	s.resetKeys(ctx, now)
	for _, id := range slices.Sorted(maps.Keys(s.db.teams)) {
		t := s.db.teams[id]
		if due(t.ResetAt, now) {
			s.resetAccount(ctx, account{scope: teamScope, id: id})
			t.ResetAt = renewed(t.BudgetDuration, now)
			t.UpdatedAt = now
		}
		s.resetWindows(ctx, teamScope, id, t.Windows, now)
	}
	for _, id := range slices.Sorted(maps.Keys(s.db.users)) {
		u := s.db.users[id]
		if due(u.ResetAt, now) {
			s.resetAccount(ctx, account{scope: userScope, id: id})
			u.ResetAt = renewed(u.BudgetDuration, now)
		}
	}
	s.resetBudgets(ctx, now)
}

func (s *Simulator) resetKeys(ctx context.Context, now time.Time) {
	var batch []*Key
	windowed := false
	for _, k := range s.db.inTokenOrder() {
		if due(k.ResetAt, now) {
			batch = append(batch, k)
			windowed = windowed || len(k.Windows) > 0
		}
	}
	if windowed && s.release.is(failsWindowedReset) {
		for _, k := range batch { // the counters are already 0 when the database refuses the batch
			s.counters.set(ctx, KeyCounter(k.Hash), "0.0", counterTTL)
		}
		batch = nil
	}
	for _, k := range batch {
		s.resetAccount(ctx, account{scope: keyScope, id: k.Hash})
		k.ResetAt = renewed(k.BudgetDuration, now)
		k.UpdatedAt = now
	}
	for _, k := range s.db.inTokenOrder() {
		s.resetWindows(ctx, keyScope, k.Hash, k.Windows, now)
	}
}

// resetBudgets renews the linked budgets: what is linked to one starts again with it.
func (s *Simulator) resetBudgets(ctx context.Context, now time.Time) {
	renew := map[string]bool{}
	for id, b := range s.db.budgets {
		if due(b.ResetAt, now) {
			renew[id] = true
			b.ResetAt = renewed(b.Duration, now)
			b.UpdatedAt = now
		}
	}
	if len(renew) == 0 {
		return
	}
	for _, k := range s.db.inTokenOrder() {
		if renew[k.BudgetID] {
			s.resetAccount(ctx, account{scope: keyScope, id: k.Hash})
			k.UpdatedAt = now
		}
	}
	for _, id := range slices.Sorted(maps.Keys(s.db.teams)) {
		for _, m := range s.db.teams[id].Members {
			if renew[m.BudgetID] {
				s.resetAccount(ctx, account{scope: memberScope, id: m.UserID + memberIDSplit + id})
			}
		}
	}
	for _, id := range slices.Sorted(maps.Keys(s.db.organizations)) {
		if renew[s.db.organizations[id].BudgetID] && s.release.is(resetsOrganizations) {
			s.resetAccount(ctx, account{scope: orgScope, id: id})
		}
	}
}

// resetAccount starts one account again, in the database and in Redis.
func (s *Simulator) resetAccount(ctx context.Context, a account) {
	if l, ok := s.db.ledger(a); ok {
		// Subtracting what was read and setting to 0 differ only in what is flushed meanwhile, and nothing is
		// here: the model does one thing at a time.
		*l.spend = 0
	}
	if s.release.is(deletesOnReset) {
		s.counters.del(ctx, a.counter())
	} else {
		s.counters.set(ctx, a.counter(), "0.0", counterTTL)
	}
}

// resetWindows starts the windows again whose time has come. Their counters are set to 0 in every release.
func (s *Simulator) resetWindows(ctx context.Context, sc scope, id string, windows []Window, now time.Time) {
	for i := range windows {
		w := &windows[i]
		if !due(w.ResetAt, now) {
			continue
		}
		w.Spend = 0
		w.ResetAt = renewed(w.Duration, now)
		s.counters.set(ctx, account{sc, id, w.Duration}.counter(), "0.0", counterTTL)
	}
}

func due(at, now time.Time) bool { return !at.IsZero() && !now.Before(at) }

// renewed is the next reset of a duration, or none when LiteLLM would not understand it either.
func renewed(duration string, now time.Time) time.Time {
	at, err := nextReset(duration, now)
	if err != nil {
		return time.Time{}
	}
	return at
}
