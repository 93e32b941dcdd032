package poller

import (
	"context"
	"log/slog"
	"maps"
	"math/bits"
	"slices"
	"time"

	"litellm_budget_exporter/collector/budget"
	"litellm_budget_exporter/collector/litellm"
	"litellm_budget_exporter/collector/refusals"
)

const (
	// troubledFor is for how long the log of failed requests is left alone after reading it failed. It is evidence:
	// without it everything else goes on.
	troubledFor = 5 * time.Minute

	// unmeasuredLags is after how many assumed write lags all spend from before a refusal is in the row, until the
	// write lag is measured. Without a Redis it never is.
	unmeasuredLags = 5
	// settledWithin is how long after that the row is waited for.
	settledWithin = 10 * time.Minute
	// settleAgainAfter is the least time between two attempts to read rows that are waited for.
	settleAgainAfter = 15 * time.Second
	// mostPending bounds the refusals that wait for a row. More count as unknown.
	mostPending = 10_000

	// What is kept of the refusals of an entity: for how long, how many, and of how many entities.
	keptFor      = 24 * time.Hour
	keptOfEach   = 8
	keptEntities = 10_000
)

// refusalLog is what was read of LiteLLM's failed requests. It is guarded by Poller.mu.
type refusalLog struct {
	reader   *refusals.Reader
	asking   optional
	nextRead time.Time
	readAt   time.Time // when all of it was last read
	cut      bool      // the last window had more pages than are read

	counts    map[budget.Scope]budget.RefusalCounts // nil until all of it was read
	unnamed   uint64                                // refusals in words that do not tell whose budget it was
	pending   []refusals.Refusal                    // to be settled when their row was read late enough
	locks     map[budget.ID]lock                    // whose failed requests to ask for
	lastAgain time.Time                             // the latest time at which any is to be asked for again
	readOf    map[budget.ID]time.Time               // when those of one entity were last read
	latest    map[budget.ID][]refusals.Refusal
}

func newRefusalLog() refusalLog {
	return refusalLog{
		reader: refusals.NewReader(time.Now()),
		asking: optional{what: "the failed requests"},
		locks:  map[budget.ID]lock{},
		readOf: map[budget.ID]time.Time{},
		latest: map[budget.ID][]refusals.Refusal{},
	}
}

// readsRefusals says whether all failed requests are read.
func (o Options) readsRefusals() bool {
	return o.Refusals == refusals.On || o.Refusals == refusals.Auto && o.Counters == nil
}

// asksForRefusals says whether failed requests are read at all.
func (o Options) asksForRefusals() bool {
	return o.Refusals == refusals.On || o.Refusals == refusals.Auto
}

// Refusals returns what is known of the last requests that an entity was refused, the newest first: one by each of its
// budgets, and for a key those by budgets of its team, user and so on. They are kept for a day.
func (p *Poller) Refusals(id budget.ID) []refusals.Refusal {
	p.mu.Lock()
	defer p.mu.Unlock()
	known := slices.Clone(p.log.latest[id])
	slices.SortFunc(known, func(a, b refusals.Refusal) int { return b.At.Compare(a.At) })
	return known
}

// RefusalsReadAt is when what Refusals returns of an entity was last read from LiteLLM's log.
func (p *Poller) RefusalsReadAt(id budget.ID) budget.Optional[time.Time] {
	p.mu.Lock()
	defer p.mu.Unlock()
	at := later(p.log.readAt, p.log.readOf[id])
	return budget.Optional[time.Time]{Value: at, Known: !at.IsZero()}
}

// keepRefusals reads the log of failed requests every inventory interval, settles what it found, and asks for the
// failed requests of those that are locked. It is nobody's verdict: what fails here leaves the source up.
func (p *Poller) keepRefusals(ctx context.Context) {
	for next := time.Now(); sleepUntil(ctx, next, p.refusalsNow); next = p.nextOfRefusals() {
		p.settle(time.Now())
		p.forgetRefusals(time.Now())
		if time.Now().Before(p.retryAt()) || !p.allowed(&p.log.asking) {
			continue
		}
		if err := p.followRefusals(ctx); err != nil && ctx.Err() == nil {
			p.missed(err)
		}
	}
}

func (p *Poller) followRefusals(ctx context.Context) error {
	if err := p.readFailedRequests(ctx); err != nil {
		return err
	}
	if err := p.readRefused(ctx); err != nil {
		return err
	}
	return p.askForLocks(ctx)
}

// nextOfRefusals is when there is something to do again.
func (p *Poller) nextOfRefusals() time.Time {
	retry, now := p.retryAt(), time.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	next := now.Add(noSuspects)
	if p.options.readsRefusals() {
		next = p.log.nextRead
	}
	for _, r := range p.log.pending {
		next = earlier(next, later(p.settledAt(r), now.Add(settleAgainAfter)))
	}
	for _, l := range p.log.locks {
		next = earlier(next, l.due)
	}
	return later(next, later(retry, p.log.asking.askAgain))
}

// missed records that the log, or a row that a refusal waits for, could not be read.
func (p *Poller) missed(err error) {
	if p.refused(&p.log.asking, err) {
		return
	}
	p.options.Telemetry.CountError(string(budget.LiteLLM), reasonOf(err))
	p.mu.Lock()
	p.log.asking.askAgain = time.Now().Add(troubledFor)
	p.mu.Unlock()
	p.options.Logger.Warn("reading the failed requests failed; they are left alone for a while",
		slog.String("reason", reasonOf(err)), slog.String("problem", err.Error()), slog.Duration("while", troubledFor))
}

// readFailedRequests reads the next part of the log, when it is time to.
func (p *Poller) readFailedRequests(ctx context.Context) error {
	now := time.Now()
	p.mu.Lock()
	due := p.options.readsRefusals() && !now.Before(p.log.nextRead)
	from, to := p.log.reader.Window(now)
	p.mu.Unlock()
	if !due {
		return nil
	}
	pages := 1
	for n := 1; n <= min(pages, refusals.MaxPages); n++ {
		page, err := request(ctx, p.duty, background, func(ctx context.Context) (litellm.FailurePage, error) {
			return p.options.API.FailedRequests(ctx, from, to, n)
		})
		if err != nil {
			return err
		}
		pages = page.TotalPages
		p.takeRefusals(page.Refusals)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.log.reader.Done(to)
	p.log.readAt = to
	p.log.nextRead = now.Add(jittered(p.options.Inventory))
	if cut := pages > refusals.MaxPages; cut != p.log.cut {
		p.log.cut = cut
		p.options.Logger.Info("whether more requests fail than are read has changed; the newest are read", slog.Bool("more", cut))
	}
	return nil
}

// takeRefusals takes in a page of refusals, new or not.
func (p *Poller) takeRefusals(read []refusals.Refusal) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.snapshot = nil
	if p.log.counts == nil {
		p.log.counts = map[budget.Scope]budget.RefusalCounts{}
		for _, scope := range refusals.Scopes {
			p.log.counts[scope] = budget.RefusalCounts{}
		}
	}
	for _, r := range p.log.reader.New(read) {
		r = p.resolved(r)
		p.remember(r)
		_, counted := p.log.counts[r.Scope]
		switch {
		case r.Scope == "":
			p.countUnnamed()
		case !counted: // no budget of an entity
		case r.Own && r.Cap.Known && p.member(entityOf(r)) != nil && len(p.log.pending) < mostPending:
			p.log.pending = append(p.log.pending, r)
		default:
			p.tally(r, unknown)
		}
	}
}

func entityOf(r refusals.Refusal) budget.ID { return budget.ID{Scope: r.Scope, Value: r.ID} }

// resolved tells whether a refusal was by a team or by a time window of one, where the name could be either.
func (p *Poller) resolved(r refusals.Refusal) refusals.Refusal {
	if w, ok := r.AsWindow(); ok && p.member(entityOf(r)) == nil && p.member(entityOf(w)) != nil {
		return w
	}
	return r
}

// countUnnamed counts a refusal that does not tell whose budget it was, and says so when their number has doubled.
func (p *Poller) countUnnamed() {
	p.log.unnamed++
	p.snapshot = nil
	if bits.OnesCount64(p.log.unnamed) == 1 {
		p.options.Logger.Warn("LiteLLM refused requests in words that do not tell whose budget it was; they are counted with the scope unknown",
			slog.Uint64("refusals", p.log.unnamed), slog.String("version", p.releases.inUse.Version))
	}
}

// What is known of the reported spend of an entity one write lag after it was refused.
type outcome int

const (
	waiting outcome = iota // its row has to be read first
	belowCap
	atCap
	unknown
)

// tally counts a refusal. Where only those of locked entities are read none is: a part of them would be taken for all.
func (p *Poller) tally(r refusals.Refusal, o outcome) {
	c, counted := p.log.counts[r.Scope]
	if !counted {
		return
	}
	switch o {
	case belowCap:
		c.BelowCap++
	case atCap:
		c.AtCap++
	case unknown:
		c.Unknown++
	}
	p.log.counts[r.Scope] = c
	p.snapshot = nil
}

// settle counts the refusals whose row was read late enough, and keeps which budgets refused falsely.
func (p *Poller) settle(now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.log.pending = slices.DeleteFunc(p.log.pending, func(r refusals.Refusal) bool {
		o := p.outcomeOf(r, now)
		p.tally(r, o)
		if o == belowCap {
			p.wasFalse(r)
		}
		return o != waiting
	})
}

// outcomeOf compares the row with the cap that refused, which LiteLLM told. Spend only grows but by a reset or an edit:
// so a row that has reached the cap tells as soon as it was read after the refusal, one below it a write lag later,
// and none where a reset may have come between.
func (p *Poller) outcomeOf(r refusals.Refusal, now time.Time) outcome {
	m := p.member(entityOf(r))
	if m == nil {
		return unknown
	}
	row := m.track.Row()
	reached := budget.Cap{State: budget.CapKnown, Low: r.Cap.Value, High: r.Cap.Value}.ReachedBy(row.Spend.Value)
	due := p.settledAt(r)
	switch {
	case m.resetSeen.After(r.At), m.track.Entity().FirstAt.After(r.At), now.Sub(due) > settledWithin:
		return unknown
	case row.ReadAt.Before(r.At):
		return waiting
	case !row.Spend.Known:
		return unknown
	case reached:
		return atCap
	case row.ReadAt.Before(due):
		return waiting
	}
	return belowCap
}

// settledAt is from when on all spend from before a refusal is in the row.
func (p *Poller) settledAt(r refusals.Refusal) time.Time {
	assumed := p.options.Judge.WriteLag
	if measured := p.judge.WriteLag(); measured.Known {
		return r.At.Add(max(assumed, measured.Value))
	}
	return r.At.Add(unmeasuredLags * assumed)
}

// readRefused reads the rows that refusals wait for, once each, and settles those.
func (p *Poller) readRefused(ctx context.Context) error {
	now := time.Now()
	rows := map[budget.ID]*budget.Row{}
	p.mu.Lock()
	for _, r := range p.log.pending {
		m := p.member(entityOf(r))
		if m == nil || now.Before(p.settledAt(r)) || p.readingRaises(m.track.Row()) {
			continue
		}
		rows[entityOf(r)] = m.track.Row()
	}
	p.mu.Unlock()
	for id := range rows {
		if err := p.readAgain(ctx, background, id); err != nil {
			return err
		}
	}
	p.settle(time.Now())
	return nil
}

// resetBetween says whether spend was reset, or edited downwards, between two readings of a row.
func resetBetween(before, now *budget.Row) bool {
	if before == nil || now.ReadAt.Before(before.ReadAt) {
		return false
	}
	rise := now.Spend.Value - before.Spend.Value
	ever := now.TotalSpend.Value - before.TotalSpend.Value
	return rise < 0 ||
		before.TotalSpend.Known && now.TotalSpend.Known && ever-rise > budget.Noise(ever) ||
		!before.ResetAt.Value.Equal(now.ResetAt.Value)
}

// remember keeps a refusal as evidence: for the entity whose budget it was, and for the key that asked.
func (p *Poller) remember(r refusals.Refusal) {
	p.rememberFor(entityOf(r), r)
	if r.Scope != budget.Key {
		p.rememberFor(budget.ID{Scope: budget.Key, Value: r.Key}, r)
	}
}

func (p *Poller) rememberFor(id budget.ID, r refusals.Refusal) {
	known := p.log.latest[id]
	if p.member(id) == nil || known == nil && len(p.log.latest) >= keptEntities {
		return
	}
	i := slices.IndexFunc(known, r.SameBudget)
	switch {
	case i >= 0 && known[i].At.Before(r.At):
		r.FalseAt = known[i].FalseAt
		known[i] = r
	case i < 0 && len(known) < keptOfEach:
		p.log.latest[id] = append(known, r)
	}
}

// wasFalse keeps of a budget that a refusal by it was false.
func (p *Poller) wasFalse(r refusals.Refusal) {
	for _, id := range []budget.ID{entityOf(r), {Scope: budget.Key, Value: r.Key}} {
		for i := range p.log.latest[id] {
			if known := &p.log.latest[id][i]; known.SameBudget(r) && !known.FalseAt.Value.After(r.At) {
				known.FalseAt = budget.Some(r.At)
			}
		}
	}
}

// forgetRefusals forgets what is too old, and those that are gone.
func (p *Poller) forgetRefusals(now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for id, known := range p.log.latest {
		known = slices.DeleteFunc(known, func(r refusals.Refusal) bool { return now.Sub(r.At) > keptFor })
		if len(known) == 0 || p.member(id) == nil {
			delete(p.log.latest, id)
		} else {
			p.log.latest[id] = known
		}
	}
	maps.DeleteFunc(p.log.readOf, func(id budget.ID, at time.Time) bool { return p.member(id) == nil || now.Sub(at) > keptFor })
	maps.DeleteFunc(p.log.locks, func(id budget.ID, _ lock) bool { return p.member(id) == nil })
}
