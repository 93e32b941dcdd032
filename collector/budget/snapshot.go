package budget

import "time"

// Source is one of the two sides that are read.
type Source string

// The sources.
const (
	LiteLLM Source = "litellm"
	Redis   Source = "redis"
)

// SourceState is how the reading of a source goes.
type SourceState struct {
	Up          bool
	LastSuccess Optional[time.Time]
	Problem     string // what failed last and what to do, fit for a person; empty while up. Holds no secret.
}

// Snapshot is one coherent, immutable view of all entities. Metrics, pages and commands are views of it.
type Snapshot struct {
	At      time.Time
	Release Release

	// Sources holds the configured sources only.
	Sources map[Source]SourceState

	// Entities holds every entity that may be shown now, by scope, in the order of their ids. What a
	// source that was gone for longer than its staleness bound had told is not in it.
	Entities map[Scope][]*Entity

	// Fleets holds a scope once it was read completely and while its source is not stale.
	Fleets map[Scope]Fleet

	LastFullSweep Optional[time.Time]
	WriteLag      Optional[time.Duration]   // as measured
	BufferLengths map[string]int64          // elements by list name without namespace, once seen
	FleetCauses   map[FleetCause]bool       // those that could be judged
	FleetEvidence map[FleetCause][]Evidence // numbers that speak for those that hold
	Refusals      map[Scope]RefusalCounts   // since start, every scope that LiteLLM's refusals name; nil until they were read
	CounterNames  string                    // "bare" or "prefixed", "" while not known: the form of counter names in use

	// UnnamedRefusals are those, since start, in words that do not tell whose budget it was. Known as Refusals are; where
	// LiteLLM is asked only what it refuses of those that are falsely locked, from the start.
	UnnamedRefusals Optional[uint64]
}

// Fleet is what holds for all entities of one scope together, those without series of their own included.
type Fleet struct {
	Entities      int
	CapUnknown    int
	FalselyLocked Optional[int]
	Bypassed      Optional[int]
	Diverging     map[Cause]int // nil until judged; every cause otherwise

	ReportedSum   Optional[float64] // USD
	EnforcedSum   Optional[float64] // USD, of the entities whose enforced spend is known
	DivergenceMax Optional[float64] // USD
	DivergenceMin Optional[float64] // USD

	CountersPresent Optional[int]
	ReadingGapMax   Optional[time.Duration]

	// Totals since start, while a counter source is configured.
	Totals ScopeTotals
}

// ScopeTotals counts what happened in one scope since start.
type ScopeTotals struct {
	FalselyLockedEpisodes uint64
	FalselyLockedTime     time.Duration
	BypassedEpisodes      uint64
	BypassedTime          time.Duration
	UnreadableCounters    uint64
}

// RefusalCounts counts requests that budgets of one scope refused, by the reported spend of the entity one write lag
// after the refusal: only then is all spend of before in the row.
type RefusalCounts struct {
	BelowCap uint64 // below the cap, and no reset between: refused although the books say there is money
	AtCap    uint64 // at the cap or above it
	Unknown  uint64 // not read, or reset since; whatever refused by the cap of a time window or of one model
}
