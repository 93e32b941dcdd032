package judgement

import (
	"time"

	"litellm_budget_exporter/collector/budget"
	"litellm_budget_exporter/collector/cause"
)

const (
	// pinnedFor is for how long a counter must stand at the cap, with the row standing still, for that to
	// count as a lock rather than as reservations in flight.
	pinnedFor = 10 * time.Minute
	// The part of a budget that can be spent in one reading interval, and the part that may have been spent shortly before
	// an entity was met.
	spentAtOnce = 0.5
	spentBefore = 0.1
	// lastShownFor is for how long the time of the last confirmed reading is told.
	lastShownFor = 24 * time.Hour
)

// suspicion is a verdict that one pair of readings suggests and a second has to confirm.
type suspicion struct {
	verdict budget.Verdict
	since   time.Time // the first reading
	due     time.Time // one write lag later: readings from then on can confirm
	nearest float64

	// The readings that showed it last.
	row       *budget.Row
	counter   budget.Counter
	tolerance float64
	pinned    bool
}

// endWhatNoLongerShows ends verdicts at once: only entering waits.
func (t *Track) endWhatNoLongerShows(a assessment) {
	if t.lock != budget.NotJudged && !a.shows(t.lock) {
		t.lock, t.lockCounts = budget.NotJudged, false
	}
	t.lasting = t.lasting && a.diverges
	t.odd = t.odd && a.odd
	if !a.pinned {
		t.pinnedSince = time.Time{}
		if !a.cap.ReachedBy(t.counter.Value) {
			t.filled = budget.Cap{}
		}
	}
}

// decideLock opens, keeps, drops or confirms the suspicion of a false lock or bypass after a reading.
func (j *Judge) decideLock(t *Track, a assessment, at time.Time) {
	if a.pinned {
		t.filled = a.cap
		if t.pinnedSince.IsZero() {
			t.pinnedSince = at
		}
	}
	if t.lock == budget.NotJudged {
		j.suspect(t, a, at)
	}
	j.noteApparentLock(t, a, at)
	if t.lock != budget.NotJudged && (j.entering || a.close) { // while a source fails, only what was seen just now counts
		j.count(t, a, at)
	}
	if a.judged && t.suspicion == nil {
		t.everJudged = true
	}
}

func (j *Judge) suspect(t *Track, a assessment, at time.Time) {
	if a.suspect == budget.NotJudged {
		if t.suspicion != nil && t.suspicion.expired(t.counter) {
			t.expiredLock = t.suspicion
		}
		t.suspicion = nil
		return
	}
	if t.suspicion == nil || t.suspicion.verdict != a.suspect {
		t.suspicion = &suspicion{verdict: a.suspect, since: at, due: at.Add(j.writeLag())}
	}
	s := t.suspicion
	if until := j.spendUntil(t, a); until.After(s.due) {
		s.due = until
	}
	s.row, s.counter, s.tolerance, s.pinned = t.row, t.counter, a.tolerance.Value, j.heldByReservations(t, a, at)
	s.nearest = max(a.enforced.Value, t.row.Spend.Value) / a.cap.High
	confirmed := j.entering && a.close && a.shows(s.verdict) &&
		!t.row.ReadAt.Before(s.due) && !t.counter.ReadAt.Before(t.row.ReadAt)
	if confirmed {
		t.lock, t.countedUntil, t.suspicion = s.verdict, s.since, nil
	}
}

// spendUntil is until when a suspected lock can be a budget that was truly spent, with the row yet to tell: the counter
// rose, or came back from an absence, by as much, and that is not too much to be spent so fast; what several workers seed at
// once always is; nor has it diverged for so long before that no spend explains it. Of an entity just met it is not known
// what its counter rose by.
func (j *Judge) spendUntil(t *Track, a assessment) time.Time {
	ahead := a.enforced.Value - t.row.Spend.Value
	if a.suspect != budget.FalselyLocked || t.lasting || ahead >= spentAtOnce*a.cap.High {
		return time.Time{}
	}
	until, within := time.Time{}, max(j.unwrittenFor(), j.behindAtMost())
	if t.motion != nil {
		until = t.motion.madeUpUntil(ahead, within)
	}
	if met := t.firstAt.Add(within); ahead <= spentBefore*a.cap.High && met.After(until) {
		until = met
	}
	return until
}

// noteApparentLock keeps since when an entity has looked falsely locked. What spend on its way to the row can explain
// becomes a suspicion when it no longer can, to be confirmed one write lag later.
func (j *Judge) noteApparentLock(t *Track, a assessment, at time.Time) {
	if !a.apparent || t.lock != budget.NotJudged {
		t.apparentLock = nil
		return
	}
	if t.apparentLock == nil {
		t.apparentLock = &suspicion{verdict: budget.FalselyLocked, since: at}
	}
	explained := at
	if t.motion != nil {
		if until := t.motion.madeUpUntil(a.enforced.Value-t.row.Spend.Value, j.behindFor()); until.After(at) {
			explained = until
		}
	}
	t.apparentLock.due = explained.Add(j.writeLag())
}

// expired says that a suspected false lock is no longer shown because its counter, as read now, has expired
// since: it is gone, or was seeded anew. A suspicion that began with a row, beside a counter read before it, proves
// nothing until the counter is read: the row may have been reset.
func (s *suspicion) expired(now budget.Counter) bool {
	if s.counter.ReadAt.Before(s.since) {
		return false
	}
	ranOut := s.counter.TTL != budget.NoExpiry && now.ReadAt.Sub(s.counter.ReadAt) >= s.counter.TTL
	return s.verdict == budget.FalselyLocked && !s.pinned &&
		(now.State == budget.CounterAbsent || now.State == budget.CounterPresent && ranOut)
}

// heldByReservations says that a counter stands at its cap because the last reservation was shrunk to what was left,
// and not for so long that it is a lock all the same. A counter that a reset or an edit left there is none of that.
func (j *Judge) heldByReservations(t *Track, a assessment, at time.Time) bool {
	if !a.pinned || at.Sub(t.pinnedSince) >= pinnedFor {
		return false
	}
	c, _, _ := cause.Classify(j.facts(t, a, at))
	return c == budget.PinnedAtCap
}

// count adds a confirmed reading of the verdict in force to the totals. Held at the cap by reservations it counts only
// once it has been so for long.
func (j *Judge) count(t *Track, a assessment, at time.Time) {
	if j.heldByReservations(t, a, at) {
		t.countedUntil = at
		return
	}
	total := j.totals[t.row.ID.Scope]
	episodes, duration, last := &total.FalselyLockedEpisodes, &total.FalselyLockedTime, &t.lockedLast
	if t.lock == budget.Bypassed {
		episodes, duration, last = &total.BypassedEpisodes, &total.BypassedTime, &t.bypassedLast
	}
	if !t.lockCounts {
		t.lockCounts = true
		*episodes++
	}
	*duration += at.Sub(t.countedUntil)
	t.countedUntil, *last = at, at
}

// settleExpiredLock counts a suspected false lock whose counter expired before it could be confirmed, if the row,
// read one write lag after the first reading, is still under the budget and neither a reset nor an edit came between.
// While a source fails it waits, as all that would enter does.
func (j *Judge) settleExpiredLock(t *Track) {
	e := t.expiredLock
	if e == nil || !j.entering || t.row.ReadAt.Before(e.due) {
		return
	}
	t.expiredLock = nil
	r := t.row
	cap, enforced := j.capOf(r, r.ReadAt), e.counter.Value
	untouched := r.Spend.Known && r.Spend.Value >= e.row.Spend.Value && r.ResetAt == e.row.ResetAt
	if !untouched || cap.State != budget.CapKnown ||
		!cap.ReachedBy(enforced) || !cap.Above(r.Spend.Value) || enforced-r.Spend.Value <= e.tolerance {
		return
	}
	total := j.totals[r.ID.Scope]
	total.FalselyLockedEpisodes++
	total.FalselyLockedTime += e.counter.ReadAt.Sub(e.since)
	t.lockedLast = e.counter.ReadAt
}
