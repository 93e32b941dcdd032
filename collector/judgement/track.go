package judgement

import (
	"time"

	"litellm_budget_exporter/collector/budget"
	"litellm_budget_exporter/collector/cause"
)

// Track is what is remembered of one entity between readings. Its zero value is an entity never read.
type Track struct {
	row            *budget.Row
	counter        budget.Counter
	windows        []budget.Counter
	counterMovedAt time.Time
	firstAt        time.Time
	firstCountAt   time.Time
	observed       float64

	motion   *motion        // nil while neither side moved lately
	history  *cause.History // nil where there was nothing to remember: neither side moved, and nothing diverges
	probe    lagProbe
	stirred  bool   // the counter's last reading differs from the one before
	usual    *usual // nil until a side moved
	guard    guard
	carried  carried
	immortal bool // without expiry in two readings running

	suspicion    *suspicion
	apparentLock *suspicion     // it looks falsely locked; no suspicion while spend on its way to the row can explain that
	expiredLock  *suspicion     // of a false lock whose counter expired: the row, read when it is due, tells whether it was one
	lock         budget.Verdict // FalselyLocked or Bypassed once confirmed, else NotJudged
	lockCounts   bool           // the lock was counted as an episode
	countedUntil time.Time
	pinnedSince  time.Time
	filled       budget.Cap // at which the counter stood, and below which it was not since; zero if there is none
	lockedLast   time.Time
	bypassedLast time.Time

	divergingSince time.Time // first of the unbroken readings that diverge
	tooHigh        bool      // the counter is, in them
	// By what the counter can be ahead all the same, by reservations, in USD:
	strange float64 // of a traffic that is not known
	stands  float64 // such as it stood at for a while, 0 where it is ahead by more

	stoodAt time.Time // when it was last ahead by no more than that
	accused float64   // USD by which it was ahead when it was called diverging; 0 once half of that is gone

	plainSince   time.Time // first of the unbroken readings in which that is plain
	divergingDue time.Time // from when on one that does is called diverging
	lasting      bool      // they have done so for long enough
	odd          bool      // immortal or negative
	everJudged   bool
	seenWell     bool // a counter and the row agreed once

	entity *budget.Entity
}

// Entity is the immutable view of the entity; nil until its row was read. Of a counter that is absent and was
// absent, the view keeps the time of an earlier reading: CounterReadAt has the last.
func (t *Track) Entity() *budget.Entity { return t.entity }

// Row is the row last read, nil until then.
func (t *Track) Row() *budget.Row { return t.row }

// CounterReadAt is when the counter was last read; zero until then.
func (t *Track) CounterReadAt() time.Time { return t.counter.ReadAt }

// CounterPresent says whether the counter was there when it was last read.
func (t *Track) CounterPresent() bool { return t.counter.State == budget.CounterPresent }

// ReadingGap is the time between the last readings of row and counter; unknown until both were read.
func (t *Track) ReadingGap() budget.Optional[time.Duration] {
	if t.row == nil || t.counter.State == budget.CounterUnread {
		return budget.Optional[time.Duration]{}
	}
	return budget.Some(t.readingGap())
}

func (t *Track) readingGap() time.Duration { return t.row.ReadAt.Sub(t.counter.ReadAt).Abs() }

// CounterMoved says whether the row is worth reading again because the counter moved: it was not read yet
// since one write lag after the counter last changed.
func (j *Judge) CounterMoved(t *Track) bool {
	return t.row != nil && !t.counterMovedAt.IsZero() && t.row.ReadAt.Before(t.counterMovedAt.Add(j.writeLag()))
}

// Watched says whether the row must be read again every counter interval although its counter may stand
// still: the entity is falsely locked, bypassed, diverging or suspected of it.
func (t *Track) Watched() bool {
	return t.lock != budget.NotJudged || t.lasting || t.odd || !t.divergingSince.IsZero() || t.suspicion != nil || t.expiredLock != nil
}

// Suspicion is an open suspicion that an entity is falsely locked or bypassed.
type Suspicion struct {
	Verdict budget.Verdict // FalselyLocked or Bypassed
	DueAt   time.Time      // one write lag after the first reading: row and then counter are to be read again from then on
	Nearest float64        // the larger spend by the cap, for ordering suspicions of one verdict
}

// Suspicion returns the open suspicion, if there is one. A suspected false lock whose counter has expired is
// one too: its row settles it.
func (t *Track) Suspicion() (Suspicion, bool) {
	s := t.suspicion
	if s == nil {
		s = t.expiredLock
	}
	if s == nil {
		return Suspicion{}, false
	}
	return Suspicion{Verdict: s.verdict, DueAt: s.due, Nearest: s.nearest}, true
}

// settled says that nothing of the entity can change while its counter stays absent and its row the same.
func (t *Track) settled() bool {
	return t.motion == nil && !t.Watched() && len(t.windows) == 0 && t.everJudged &&
		t.lockedLast.IsZero() && t.bypassedLast.IsZero() && !t.row.Expires.Known && t.row.TempIncrease.USD == 0
}

// Samples is how both sides moved lately, oldest first: for an entity whose sides stood still, their last reading.
func (t *Track) Samples() []budget.Sample {
	switch {
	case t.history != nil:
		return t.history.Samples()
	case t.row != nil:
		h := cause.Begin(t.row, t.counter, false)
		h.Holds(t.row.ReadAt, t.terms())
		return h.Samples()
	}
	return nil
}

// terms is what holds of the entity, as last read.
func (t *Track) terms() budget.Terms {
	return budget.Terms{Cap: t.entity.Cap, ResetAt: t.entity.ResetAt, Blocked: t.row.Blocked}
}

// remembering returns the history, begun with what was read before if there was none.
func (t *Track) remembering(row *budget.Row, c budget.Counter) *cause.History {
	if t.history == nil {
		t.history = cause.Begin(row, c, false)
		if since := t.firstAt; c.State != budget.CounterUnread {
			if t.firstCountAt.After(since) {
				since = t.firstCountAt
			}
			t.history.Stood(since)
		}
		t.history.Holds(row.ReadAt, budget.Terms{Cap: t.entity.Cap, ResetAt: t.entity.ResetAt, Blocked: row.Blocked})
	}
	return t.history
}

// moving returns the history of motion, begun if there was none.
func (t *Track) moving() *motion {
	if t.motion == nil {
		t.motion = &motion{}
	}
	if t.usual == nil {
		t.usual = &usual{}
	}
	return t.motion
}
