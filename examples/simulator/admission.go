package simulator

import (
	"context"
	"fmt"
	"strings"
	"time"
)

// Request is one call of a model.
type Request struct {
	Key      string  // hash
	Worker   int     // which worker process takes it, from 0
	Cost     float64 // USD that it will turn out to cost
	Estimate float64 // USD that are reserved for it; 0 = no price is known, nothing is reserved
	EndUser  string
	Tags     []string
}

// Refusal is a request that was refused for lack of budget.
type Refusal struct {
	Status  int     // HTTP, by the release
	Message string  // LiteLLM's wording, by the release
	Spend   float64 // USD that was compared
	Cap     float64 // USD it was compared with

	by     budgeted
	atRead bool // at read time, and not by the reservation
	byKey  bool // by the check of a key's own cap
}

func (r *Refusal) String() string { return r.Message }

// Flight is a request that was admitted and is not answered yet.
type Flight struct {
	sim      *Simulator
	worker   *worker
	request  Request
	accounts []budgeted
	reserved float64 // USD added to the counters of the accounts that reserve
	done     bool
}

// worker is one worker process.
type worker struct {
	memory  map[string]memo  // counters as it last wrote them
	rows    map[account]memo // rows' spends as it last read them
	pending map[account]float64
	log     []*logged // on its way to the log
}

// memo is something a worker remembers for a minute.
type memo struct {
	value float64
	until time.Time
}

// memoTTL is how long a worker remembers a counter or a row.
const memoTTL = time.Minute

// counterMemoTTL is how long a worker that trusts its memory of a counter does so, from the first write on: the default of
// LiteLLM's in-memory cache, seen to be more than a minute in 1.83.14.
const counterMemoTTL = 10 * time.Minute

func newWorker() *worker {
	return &worker{memory: map[string]memo{}, rows: map[account]memo{}, pending: map[account]float64{}}
}

// budgeted is an account that a request spends from, with the budget that it has.
type budgeted struct {
	account
	limit    *float64 // USD; nil = none
	strictly bool     // refused at read time only when the spend is above the cap
	reserves bool
	refusal  func(spend, limit float64) string // at read time
	name     string                            // in a refusal at the reservation
}

// accounts are what a request of a key spends from, in the order in which their budgets are checked.
func (s *Simulator) accounts(k *Key, r Request) []budgeted {
	now := s.now()
	reserves := s.release.is(reserves)
	as := []budgeted{{
		account: account{scope: keyScope, id: k.Hash}, limit: s.db.keyCap(k, now), reserves: reserves,
		name: "Key=" + k.Hash, refusal: s.keyRefusal(k),
	}}
	if t := s.db.teams[k.TeamID]; t != nil {
		as = append(as, budgeted{
			account: account{scope: teamScope, id: t.ID}, limit: t.MaxBudget, strictly: true, reserves: reserves,
			name: "Team=" + t.ID, refusal: exceeded("Team=" + t.ID),
		})
		if m := s.db.member(k.UserID + memberIDSplit + t.ID); m != nil {
			as = append(as, budgeted{
				account: account{scope: memberScope, id: k.UserID + memberIDSplit + t.ID}, limit: s.db.linkedCap(m.BudgetID), reserves: reserves,
				name: "TeamMember=" + k.UserID + ":" + t.ID, refusal: exceeded("User=" + k.UserID + " in Team=" + t.ID),
			})
		}
	}
	if o := s.db.organizations[k.OrgID]; o != nil {
		as = append(as, budgeted{
			account: account{scope: orgScope, id: o.ID}, limit: s.db.linkedCap(o.BudgetID), reserves: reserves,
			name: "Organization=" + o.ID, refusal: exceeded("Organization=" + o.ID),
		})
	}
	if u := s.db.users[k.UserID]; u != nil {
		a := budgeted{account: account{scope: userScope, id: u.ID}, name: "User=" + u.ID}
		if k.TeamID == "" { // a user's cap does not hold for the keys of a team
			a.limit, a.reserves = u.MaxBudget, reserves
			a.refusal = func(spend, limit float64) string {
				return fmt.Sprintf("ExceededBudget: User=%s over budget. Spend=%s, Budget=%s", u.ID, pythonFloat(spend), pythonFloat(limit))
			}
		}
		as = append(as, a)
	}
	as = append(as, windowAccounts(keyScope, k.Hash, "Key", k.Windows, reserves)...)
	if t := s.db.teams[k.TeamID]; t != nil {
		as = append(as, windowAccounts(teamScope, t.ID, "Team="+t.ID, t.Windows, reserves)...)
	}
	if reserves {
		for _, tag := range r.Tags {
			as = append(as, budgeted{account: account{scope: tagScope, id: tag}})
		}
		if r.EndUser != "" {
			as = append(as, budgeted{account: account{scope: endUserScope, id: r.EndUser}})
		}
	}
	return as
}

func windowAccounts(sc scope, id, who string, windows []Window, reserves bool) []budgeted {
	var as []budgeted
	name, _, _ := strings.Cut(who, "=")
	for _, w := range windows {
		as = append(as, budgeted{
			account: account{sc, id, w.Duration}, limit: new(w.MaxBudget), reserves: reserves, name: name + "=" + id + ":" + w.Duration,
			refusal: func(spend, limit float64) string {
				return fmt.Sprintf("ExceededBudget: %s over %s budget. Spend=$%.4f, Limit=$%.2f", who, w.Duration, spend, limit)
			},
		})
	}
	return as
}

// keyRefusal is the wording of a key's refusal at read time.
func (s *Simulator) keyRefusal(k *Key) func(spend, limit float64) string {
	if !s.release.is(namesKeyInRefusal) {
		return exceeded("")
	}
	alias := k.Alias
	if alias == "" {
		alias = "key"
	}
	return exceeded(fmt.Sprintf("Key=%s (%s)", alias, k.Name))
}

func exceeded(who string) func(spend, limit float64) string {
	if who != "" {
		who += " "
	}
	return func(spend, limit float64) string {
		return fmt.Sprintf("Budget has been exceeded! %sCurrent cost: %s, Max budget: %s", who, pythonFloat(spend), pythonFloat(limit))
	}
}

// Send has requests admitted, as far as there is budget, and answered at once. Several are concurrent. The result
// has nil for each that was admitted.
func (s *Simulator) Send(ctx context.Context, requests ...Request) []*Refusal {
	flights, refusals := s.Begin(ctx, requests...)
	for _, f := range flights {
		if f != nil {
			f.Settle(ctx)
		}
	}
	return refusals
}

// Begin has requests admitted, as far as there is budget. Several are concurrent: all of them look for the
// counters before any of them writes one. The first is a step ahead of the others, as in the recorded races: it
// is admitted before their seeds land. For each request there is a flight or a refusal; a key that does not exist
// has neither.
func (s *Simulator) Begin(ctx context.Context, requests ...Request) ([]*Flight, []*Refusal) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.begin(ctx, requests...)
}

func (s *Simulator) begin(ctx context.Context, requests ...Request) ([]*Flight, []*Refusal) {
	flights, refusals := make([]*Flight, len(requests)), make([]*Refusal, len(requests))
	missing := make([][]budgeted, len(requests))
	for i, r := range requests {
		k := s.db.keys[r.Key]
		if k == nil {
			continue
		}
		f := &Flight{sim: s, worker: s.workers[r.Worker%len(s.workers)], request: r, accounts: s.accounts(k, r)}
		missing[i] = s.withoutCounter(ctx, f.worker, f.accounts)
		flights[i] = f
	}
	seeded := map[*worker]map[account]bool{}
	seed := func(i int) {
		w := flights[i].worker
		if seeded[w] == nil {
			seeded[w] = map[account]bool{}
		}
		for _, a := range missing[i] {
			if !seeded[w][a.account] { // a worker's concurrent requests wait for one seed
				s.seedCounter(ctx, a.account)
				seeded[w][a.account] = true
			}
		}
	}
	admit := func(i int) {
		if refusals[i] = s.admit(ctx, flights[i]); refusals[i] != nil {
			s.log(flights[i].worker, s.db.keys[requests[i].Key], requests[i], refusals[i])
			flights[i] = nil
		}
	}
	var rest []int
	first := true
	for i, f := range flights {
		switch {
		case f == nil:
		case first:
			first = false
			seed(i)
			admit(i)
		default:
			seed(i)
			rest = append(rest, i)
		}
	}
	for _, i := range rest {
		admit(i)
	}
	return flights, refusals
}

// withoutCounter are the accounts with a cap whose counter the worker would have to seed.
func (s *Simulator) withoutCounter(ctx context.Context, w *worker, as []budgeted) []budgeted {
	var missing []budgeted
	for _, a := range as {
		if a.limit == nil {
			continue
		}
		if _, ok := s.counterOf(ctx, w, a.account); !ok {
			missing = append(missing, a)
		}
	}
	return missing
}

// counterOf is the counter as the worker finds it.
func (s *Simulator) counterOf(ctx context.Context, w *worker, a account) (float64, bool) {
	if v, ok := s.counters.get(ctx, a.counter()); ok {
		return v, true
	}
	if m, ok := w.memory[a.counter()]; ok && s.release.is(trustsMemory) && s.clock.Now().Before(m.until) {
		return m.value, true
	}
	return 0, false
}

// seedCounter gives an account whose counter was not found one, from its row.
func (s *Simulator) seedCounter(ctx context.Context, a account) {
	l, ok := s.db.ledger(a)
	switch {
	case !ok || s.databaseDown:
	case a.isWindow():
		if s.release.is(reserves) {
			s.counters.seed(ctx, a.counter(), *l.spend)
		}
	case a.scope == tagScope, a.scope == endUserScope, s.release.is(seedsAdditively):
		s.counters.add(ctx, a.counter(), *l.spend)
	default:
		s.counters.seed(ctx, a.counter(), *l.spend)
	}
}

// admit checks every budget of a request and then reserves its estimate.
func (s *Simulator) admit(ctx context.Context, f *Flight) *Refusal {
	if refusal := s.check(ctx, f.worker, f.accounts); refusal != nil {
		return refusal
	}
	return s.reserve(ctx, f)
}

// check is the check at read time.
func (s *Simulator) check(ctx context.Context, w *worker, as []budgeted) *Refusal {
	for _, a := range s.inOrderOfChecks(as) {
		if a.limit == nil {
			continue
		}
		spend := s.enforced(ctx, w, a)
		if spend > *a.limit || !a.strictly && spend >= *a.limit {
			return &Refusal{
				Status: s.release.budgetStatus(), Message: a.refusal(spend, *a.limit), Spend: spend, Cap: *a.limit,
				by: a, atRead: true, byKey: a.scope == keyScope && !a.isWindow(),
			}
		}
	}
	return nil
}

// inOrderOfChecks puts a member before all else, as which it is checked, and then once more in its place.
func (s *Simulator) inOrderOfChecks(as []budgeted) []budgeted {
	var first []budgeted
	for _, a := range as {
		if a.scope != memberScope {
			continue
		}
		if l, ok := s.db.ledger(a.account); ok && *l.spend == 0 && s.release.is(membersOnceSpent) {
			continue
		}
		a.strictly = !s.release.is(refusesMembersAtCap)
		a.refusal = exceeded("")
		if s.release.is(namesMembers) {
			a.refusal = exceeded(a.name)
		}
		first = append(first, a)
	}
	return append(first, as...)
}

// enforced is the spend that is compared with the cap.
func (s *Simulator) enforced(ctx context.Context, w *worker, a budgeted) float64 {
	v, ok := s.counterOf(ctx, w, a.account)
	l, exists := s.db.ledger(a.account)
	if !exists {
		return v
	}
	if !ok && !a.isWindow() {
		v = *l.spend
	}
	if v < *a.limit && s.release.is(raisesStaleLow) && (a.isWindow() || s.cachedSpend(w, a.account, l) > v) && *l.spend > v {
		return s.counters.raise(ctx, a.counter(), *l.spend)
	}
	return v
}

// cachedSpend is the row's spend as the worker remembers it.
func (s *Simulator) cachedSpend(w *worker, a account, l ledger) float64 {
	now := s.clock.Now()
	m, ok := w.rows[a]
	if !ok || !now.Before(m.until) {
		m = memo{*l.spend, now.Add(memoTTL)}
		w.rows[a] = m
	}
	return m.value
}

// dust is what is too little to reserve.
const dust = 1e-12

// reserve adds the estimate to the counters, one after another. Where it does not fit it is shrunk, on all of them, to
// what is left, or refused and taken back when nothing is.
func (s *Simulator) reserve(ctx context.Context, f *Flight) *Refusal {
	amount := f.request.Estimate
	if !s.release.is(reserves) || amount <= 0 {
		return nil
	}
	var charged []budgeted
	giveBack := func(usd float64) {
		for _, a := range charged {
			s.add(ctx, f.worker, a.account, -usd)
		}
	}
	for _, a := range f.accounts {
		if !a.reserves || a.limit == nil || *a.limit <= 0 {
			continue
		}
		v, ok := s.add(ctx, f.worker, a.account, amount)
		if !ok {
			continue
		}
		charged = append(charged, a)
		if v <= *a.limit {
			continue
		}
		left := *a.limit - (v - amount)
		if left <= dust {
			giveBack(amount)
			return &Refusal{Status: s.release.budgetStatus(), Message: exceeded(a.name)(v, *a.limit), Spend: v, Cap: *a.limit, by: a}
		}
		giveBack(amount - left)
		amount = left
	}
	f.reserved = amount
	s.renewLease(f)
	return nil
}

// leaseInterval is how often a request in flight re-arms the counters that it reserved on.
const leaseInterval = counterTTL / 2

func (s *Simulator) renewLease(f *Flight) {
	if !s.release.is(renewsLease) {
		return
	}
	s.after(leaseInterval, func(ctx context.Context) {
		if f.done {
			return
		}
		for _, a := range f.reservations() {
			if _, ok := s.counters.get(ctx, a.counter()); ok {
				s.counters.arm(ctx, a.counter())
			}
		}
		s.renewLease(f)
	})
}

// reservations are the accounts that the request reserved on.
func (f *Flight) reservations() []budgeted {
	var as []budgeted
	for _, a := range f.accounts {
		if f.reserved > 0 && a.reserves && a.limit != nil && *a.limit > 0 {
			as = append(as, a)
		}
	}
	return as
}

// add changes a counter, and the worker remembers what came of it.
func (s *Simulator) add(ctx context.Context, w *worker, a account, usd float64) (float64, bool) {
	v, ok := s.counters.add(ctx, a.counter(), usd)
	if ok {
		now := s.clock.Now()
		until := now.Add(memoTTL)
		if s.release.is(trustsMemory) {
			until = now.Add(counterMemoTTL)
			if m, remembered := w.memory[a.counter()]; remembered && now.Before(m.until) {
				until = m.until
			}
		}
		w.memory[a.counter()] = memo{v, until}
	}
	return v, ok
}

// charge adds a cost to a counter, which is seeded first when there is none.
func (s *Simulator) charge(ctx context.Context, w *worker, a account, usd float64) {
	if _, ok := s.counterOf(ctx, w, a); !ok {
		s.seedCounter(ctx, a)
	}
	s.add(ctx, w, a, usd)
}

// Settle answers the request: its cost takes the place of the reservation, and is queued for the database.
func (f *Flight) Settle(ctx context.Context) {
	f.sim.mu.Lock()
	defer f.sim.mu.Unlock()
	f.settle(ctx)
}

func (f *Flight) settle(ctx context.Context) {
	s, cost := f.sim, f.request.Cost
	f.done = true
	reserved := map[account]bool{}
	for _, a := range f.reservations() {
		reserved[a.account] = true
	}
	s.settleReservations(ctx, f, cost)
	for _, a := range f.accounts {
		if !reserved[a.account] {
			s.charge(ctx, f.worker, a.account, cost)
		}
		f.worker.pending[a.account] += cost
	}
}

// settleReservations turns what was reserved into what it cost. A counter that is no longer there, or too low to give
// the difference back, was reset or lost meanwhile.
func (s *Simulator) settleReservations(ctx context.Context, f *Flight, cost float64) {
	as := f.reservations()
	difference := cost - f.reserved
	for _, a := range as {
		if s.bears(ctx, f.worker, a.account, difference) {
			s.add(ctx, f.worker, a.account, difference)
			continue
		}
		if s.release.is(deletesOnLoss) {
			for _, a := range as {
				s.counters.del(ctx, a.counter())
				s.charge(ctx, f.worker, a.account, cost)
			}
			return
		}
		if l, ok := s.db.ledger(a.account); ok && !a.isWindow() {
			s.counters.raise(ctx, a.counter(), *l.spend)
			if !s.release.is(dropsCostOnLoss) {
				s.add(ctx, f.worker, a.account, cost)
			}
		}
	}
}

// bears says whether the worker believes that a counter can be changed by so much and not become negative.
func (s *Simulator) bears(ctx context.Context, w *worker, a account, usd float64) bool {
	v, ok := s.counters.get(ctx, a.counter())
	if m, remembered := w.memory[a.counter()]; remembered && s.release.is(settlesByMemory) && s.clock.Now().Before(m.until) {
		v, ok = m.value, true
	}
	return ok && v+usd >= -dust
}

// Cancel is the client going away before the answer: the reservation stays until the counter expires, or is given back
// where the release does that.
func (f *Flight) Cancel(ctx context.Context) {
	f.sim.mu.Lock()
	defer f.sim.mu.Unlock()
	f.done = true
	if f.sim.release.is(releasesCancelled) {
		f.sim.settleReservations(ctx, f, 0)
	}
}

// Kill is the end of the worker: nothing is settled.
func (f *Flight) Kill() {
	f.sim.mu.Lock()
	defer f.sim.mu.Unlock()
	f.done = true
}
