package budget

import "time"

// Verdict is the worst that holds for an entity.
type Verdict string

// The verdicts, worst first. NotJudged is an entity of which nothing may be said: blocked, expired,
// throttled, or not read closely enough on both sides yet.
const (
	FalselyLocked Verdict = "falsely_locked"
	Bypassed      Verdict = "bypassed"
	Diverging     Verdict = "diverging"
	OK            Verdict = "ok"
	NotJudged     Verdict = ""
)

// Cause is the most likely failure mode behind a divergence.
type Cause string

// The causes of an entity's divergence: a closed list.
const (
	ReseedMultiple  Cause = "reseed_multiple"
	StaleAfterReset Cause = "stale_after_reset"
	ResetUndone     Cause = "reset_undone"
	ManualSpendEdit Cause = "manual_spend_edit"
	PinnedAtCap     Cause = "pinned_at_cap"
	ReservationLeak Cause = "reservation_leak"
	DoubleApply     Cause = "double_apply"
	CounterLost     Cause = "counter_lost"
	CounterRestart  Cause = "counter_restart"
	GhostRefund     Cause = "ghost_refund"
	Undercount      Cause = "undercount"
	Immortal        Cause = "immortal"
	Negative        Cause = "negative"
	Unexplained     Cause = "unexplained"
	NoCause         Cause = ""
)

// Causes lists every cause of an entity's divergence.
var Causes = []Cause{
	ReseedMultiple, StaleAfterReset, ResetUndone, ManualSpendEdit, PinnedAtCap, ReservationLeak, DoubleApply,
	CounterLost, CounterRestart, GhostRefund, Undercount, Immortal, Negative, Unexplained,
}

// FleetCause is a failure mode that belongs to the whole deployment.
type FleetCause string

// The causes that belong to the fleet.
const (
	FlushStalled     FleetCause = "flush_stalled"
	NoSharedCounters FleetCause = "no_shared_counters"
)

// FleetCauses lists them in the order in which they are shown.
var FleetCauses = []FleetCause{FlushStalled, NoSharedCounters}

// Entity is one entity as judged: the immutable view that everything shown is made from.
type Entity struct {
	ID    ID
	Names Names

	Reported   Optional[float64] // USD
	ReportedAt time.Time
	Counter    Counter
	Enforced   Optional[float64] // USD, by the rules of the release in use
	Divergence Optional[float64] // USD, Enforced − Reported
	Tolerance  Optional[float64] // USD

	Cap     Cap
	ResetAt Optional[time.Time]
	Windows []EntityWindow

	Verdict Verdict
	Cause   Cause // NoCause unless diverging, bypassed or falsely locked

	// Suspected is what readings to come will confirm or drop; nil while nothing is. The verdict stays what it was until
	// then.
	Suspected *Suspicion

	// Confidence (0 to 1) and Evidence say how sure the cause is, and what it was told by.
	Confidence float64
	Evidence   []Evidence

	// LockJudged says that FalselyLocked and Bypassed of this entity can be shown as 0 or 1: its cap and
	// both spends are known and it was judged.
	LockJudged bool

	FalselyLockedLast Optional[time.Time] // when a reading last showed it confirmed
	BypassedLast      Optional[time.Time]

	Observed float64 // USD: increases of reported spend since the first sight
	FirstAt  time.Time
}

// Suspicion is a verdict that readings suggest and that is not confirmed.
type Suspicion struct {
	Verdict Verdict             // the worst that is suspected
	Since   time.Time           // the first reading that gave rise to a suspicion that is still open
	Due     Optional[time.Time] // from when on readings settle the worst; unknown: the next one does
}

// Evidence is one number that speaks for a cause.
type Evidence struct {
	Name  string // "copies", "reported_at_seed_usd"
	Value float64
}

// Sample is both sides of an entity at one time, as last read then.
type Sample struct {
	At       time.Time
	Reported Optional[float64] // USD
	Counter  Optional[float64] // USD; unknown while there is none, or it could not be read
	TTL      time.Duration     // of the counter, or NoExpiry
	Terms                      // what held then

	// LeftOut is how many samples between the one before and this one were not kept: both sides moved about in a straight
	// line, or stood still.
	LeftOut int
}

// Terms is what holds of an entity whatever is spent, and can change.
type Terms struct {
	Cap     Cap // in force
	ResetAt Optional[time.Time]
	Blocked bool
}

// EntityWindow is one time window of an entity as judged.
type EntityWindow struct {
	Duration  string
	MaxBudget Optional[float64] // USD
	ResetAt   Optional[time.Time]
	Enforced  Optional[float64] // USD; a cold window is unknown
}
