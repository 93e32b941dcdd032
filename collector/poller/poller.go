// Package poller reads LiteLLM and its Redis on timers of their own and joins what they say into snapshots.
//
// Four loops: the inventory (which entities there are, with their rows), the counters, the rows that moved, and
// the confirmation of suspicions; and one beside them that reads the requests that budgets refused. No reader of a
// snapshot waits for any of them. The judgement is package
// budget's; this package decides what is read when, and what may be shown of it.
package poller

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"litellm_budget_exporter/collector/budget"
	"litellm_budget_exporter/collector/counters"
	"litellm_budget_exporter/collector/judgement"
	"litellm_budget_exporter/collector/litellm"
	"litellm_budget_exporter/collector/refusals"
)

// API is what is read of LiteLLM's management API; *litellm.Client implements it. Each call is one request.
type API interface {
	Release(ctx context.Context) (string, error)
	Keys(ctx context.Context, o litellm.KeyOrder, page int) (litellm.Page, error)
	Key(ctx context.Context, hash string) (*budget.Row, error)
	KeysOfAlias(ctx context.Context, alias string, page int) (litellm.Page, error)
	KeyInfo(ctx context.Context, hash string) (*budget.Row, error)
	KeysInfo(ctx context.Context, hashes []string) ([]*budget.Row, error)
	Teams(ctx context.Context, page int) (litellm.Page, error)
	Team(ctx context.Context, id string) (*budget.Row, error)
	TeamsOfAlias(ctx context.Context, alias string, page int) (litellm.Page, error)
	TeamInfo(ctx context.Context, id string) (*budget.Row, error)
	Budgets(ctx context.Context) (map[string]budget.LinkedBudget, error)
	FailedRequests(ctx context.Context, from, to time.Time, page int) (litellm.FailurePage, error)
	FailedRequestsOf(ctx context.Context, r budget.Release, id budget.ID, from, to time.Time) (litellm.FailurePage, error)
}

// Counters is what is read of Redis; *counters.Reader implements it.
type Counters interface {
	Read(ctx context.Context, names []string) ([]budget.Counter, error)
	BufferLengths(ctx context.Context) (map[string]int64, error)
	Form() counters.Form
}

// Telemetry is told how the loops do. Loops are named inventory, counters, rows and confirmation; sources and
// reasons are the label values of poll_errors_total.
type Telemetry interface {
	ObservePoll(loop string, d time.Duration)
	CountError(source, reason string)
}

// Options say what is read and how often. Every field is required unless it says otherwise.
type Options struct {
	// Identity tells which LiteLLM and which Redis are read. While it stays the same over a Reconfigure, so do the
	// histories of the entities.
	Identity string

	API      API
	Counters Counters // nil: no Redis is configured, and only the reported side is known

	Version      string  // LiteLLM's release; overrides detection. Optional.
	MaxBusyRatio float64 // of wall time that requests to LiteLLM may take, 0 to 1

	Inventory        time.Duration // interval of whole sweeps
	CounterInterval  time.Duration
	StalenessLiteLLM time.Duration // for how long after its last success what a source told is shown
	StalenessRedis   time.Duration

	Scopes []budget.Scope
	Keys   []string // with Teams: when not both empty, these entities only, read by hash and id. Optional.
	Teams  []string

	Refusals refusals.Mode // whether LiteLLM's failed requests are read; "" = refusals.Off

	Judge     judgement.Params
	Telemetry Telemetry
	Logger    *slog.Logger

	one bool // the named entities are all that is wanted, and the credential may list
}

// explicit says that some entities are named, and those are read singly rather than swept.
func (o Options) explicit() bool { return len(o.Keys)+len(o.Teams) > 0 }

// byInfo says that they are named in the configuration, for a credential that may not list: they are read by /key/info
// and /team/info.
func (o Options) byInfo() bool { return o.explicit() && !o.one }

// The loops, as telemetry names them.
const (
	inventoryLoop    = "inventory"
	countersLoop     = "counters"
	rowsLoop         = "rows"
	confirmationLoop = "confirmation"
)

// Poller keeps what was read and makes snapshots of it.
type Poller struct {
	options Options // changes only between runs
	duty    *duty

	// Wake-up calls between the loops: each holds at most one.
	sweepNow, countNow, rowsNow, confirmNow, refusalsNow chan struct{}

	mu sync.Mutex // guards what follows
	state
	snapshot   *budget.Snapshot // the last one made; nil once something changed
	validUntil time.Time
}

// New returns a poller that has read nothing yet.
func New(o Options) *Poller {
	p := &Poller{
		sweepNow:    make(chan struct{}, 1),
		countNow:    make(chan struct{}, 1),
		rowsNow:     make(chan struct{}, 1),
		confirmNow:  make(chan struct{}, 1),
		refusalsNow: make(chan struct{}, 1),
	}
	p.start(o)
	p.state = newState(o)
	return p
}

func (p *Poller) start(o Options) {
	p.options = o
	p.duty = newDuty(o.MaxBusyRatio)
}

// Run reads until the context is done and returns its error. It does not return early: a source that fails is
// told of in the snapshot.
func (p *Poller) Run(ctx context.Context) error {
	loops := []func(context.Context){p.keepInventory}
	if p.options.Counters != nil {
		loops = append(loops, p.keepCounters, p.keepRows, p.keepConfirming)
	}
	if p.options.asksForRefusals() {
		loops = append(loops, p.keepRefusals)
	}
	var running sync.WaitGroup
	for _, loop := range loops {
		running.Go(func() { loop(ctx) })
	}
	running.Wait()
	return ctx.Err()
}

// Reconfigure replaces the options; it must not be called while Run is running. Entities that are still read from
// the same LiteLLM and the same Redis keep their histories.
func (p *Poller) Reconfigure(o Options) {
	p.mu.Lock()
	defer p.mu.Unlock()
	before := p.options
	p.start(o)
	if o.Identity == before.Identity {
		p.reconfigure(before, o)
	} else {
		p.state = newState(o)
	}
	p.sourcesChanged()
}

// Ready says that every configured source was tried.
func (p *Poller) Ready() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, s := range p.sources {
		if !s.tried {
			return false
		}
	}
	return true
}

// wake leaves a wake-up call, unless there is one already.
func wake(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// sleepUntil waits until a time, for a wake-up call or for the end of the context, and says whether to go on.
func sleepUntil(ctx context.Context, t time.Time, woken <-chan struct{}) bool {
	timer := time.NewTimer(time.Until(t))
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	case <-woken:
	}
	return ctx.Err() == nil
}

// jittered is an interval shortened by up to a tenth, so that exporters started together drift apart.
func jittered(interval time.Duration) time.Duration {
	return time.Duration(float64(interval) * (1 - 0.1*rand.Float64())) //nolint:gosec // spreads load, guards nothing
}
