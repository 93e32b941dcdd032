package budget

import "time"

// Params are the settings of judgement.
type Params struct {
	ToleranceUSD    float64       // floor of the tolerance
	ToleranceRatio  float64       // fraction of spend below which nothing is called diverging
	WriteLag        time.Duration // assumed until measured, and never taken for less
	CounterInterval time.Duration // the longest gap between the two readings of a pair that gives a verdict
}

// Judge holds what all entities share: the release in use, linked budgets, the measured write lag and the
// totals. Its methods are not safe for concurrent use.
type Judge struct {
	params Params
}

// NewJudge returns a judge that knows no release and no linked budget yet.
func NewJudge(p Params) *Judge { return &Judge{params: p} }

// SetParams replaces the settings; tracks keep their history.
func (j *Judge) SetParams(p Params) { j.params = p }

// SetRelease sets the release whose rules hold from the next observation on.
func (j *Judge) SetRelease(r Release) {}

// SetBudgets replaces the linked budgets, read whole at the given time.
func (j *Judge) SetBudgets(budgets map[string]LinkedBudget, readAt time.Time) {}

// SetEntering allows or forbids entering a verdict: while a source fails nobody enters one.
func (j *Judge) SetEntering(allowed bool) {}

// Totals returns what was counted of a scope since start.
func (j *Judge) Totals(s Scope) ScopeTotals { return ScopeTotals{} }

// WriteLag is the measured write lag, unknown until measured.
func (j *Judge) WriteLag() Optional[time.Duration] { return Optional[time.Duration]{} }

// Track is what is remembered of one entity between readings. Its zero value is an entity never read.
type Track struct {
	entity *Entity
}

// Row takes in a reading of the entity's row and judges it with the counter last read.
func (j *Judge) Row(t *Track, r *Row) {}

// Counter takes in a reading of the entity's counter, and of its windows' counters in the order of the
// row's windows, and judges it with the row last read.
func (j *Judge) Counter(t *Track, c Counter, windows []Counter) {}

// Refresh judges the readings it has again, for what depends on the time alone (an expiry) or on what
// the judge was told since (a budget, the release).
func (j *Judge) Refresh(t *Track, now time.Time) {}

// Entity is the immutable view of the entity; nil until its row was read.
func (t *Track) Entity() *Entity { return t.entity }

// Row is the row last read.
func (t *Track) Row() *Row { return nil }

// CounterMoved says whether the counter changed since the row was read, so that the row is worth reading again.
func (t *Track) CounterMoved() bool { return false }

// Watched says whether the row must be read again every counter interval although its counter may stand
// still: the entity is falsely locked, bypassed, diverging or suspected of it.
func (t *Track) Watched() bool { return false }

// Suspicion is an open suspicion that an entity is falsely locked or bypassed.
type Suspicion struct {
	Verdict Verdict   // FalselyLocked or Bypassed
	DueAt   time.Time // one write lag after the first reading: row and then counter are to be read again from then on
	Nearest float64   // how near the cap, 1 = at the cap, for ordering suspicions of one verdict
}

// Suspicion returns the open suspicion, if there is one.
func (t *Track) Suspicion() (Suspicion, bool) { return Suspicion{}, false }
