package poller

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"litellm_budget_exporter/collector/budget"
	"litellm_budget_exporter/collector/counters"
	"litellm_budget_exporter/collector/judgement"
	"litellm_budget_exporter/collector/litellm"
	"litellm_budget_exporter/collector/refusals"
)

// fakeLiteLLM answers as LiteLLM would, from rows in memory, after a latency in the test's virtual time.
type fakeLiteLLM struct {
	mu      sync.Mutex
	version string
	keys    map[string]budget.Row
	teams   map[string]budget.Row
	budgets map[string]budget.LinkedBudget
	latency time.Duration

	hidesLinks bool // as up to 1.87.5: /key/list does not tell links

	fail  func(endpoint, arg string) error                      // may fail a request
	twist func(endpoint string, page litellm.Page) litellm.Page // may falsify a page
	calls []call
	busy  time.Duration
	down  bool

	refused []refusals.Refusal // the log of failed requests, in the order of time

	orders map[string][]string // ids by endpoint, until one comes or goes
}

type call struct {
	endpoint, arg string
	at            time.Time
}

func newFakeLiteLLM() *fakeLiteLLM {
	return &fakeLiteLLM{
		version: "1.84.0", latency: 10 * time.Millisecond,
		keys: map[string]budget.Row{}, teams: map[string]budget.Row{}, budgets: map[string]budget.LinkedBudget{},
		orders: map[string][]string{},
	}
}

// hash is a key's id; n numbers the keys.
func hash(n int) string {
	sum := sha256.Sum256(fmt.Append(nil, "sk-", n))
	return hex.EncodeToString(sum[:])
}

var created = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func (f *fakeLiteLLM) key(n int, spend, cap float64) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	id := hash(n)
	clear(f.orders)
	f.keys[id] = budget.Row{
		ID:        budget.ID{Scope: budget.Key, Value: id},
		Names:     budget.Names{Alias: fmt.Sprintf("key %d", n)},
		Spend:     budget.Some(spend),
		MaxBudget: budget.Some(cap),
		Link:      budget.BudgetLink{State: budget.LinkNone},
		CreatedAt: budget.Some(created.Add(time.Duration(n) * time.Second)),
		KeyName:   "sk-...abcd",
	}
	return id
}

func (f *fakeLiteLLM) team(id, alias string, spend, cap float64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	clear(f.orders)
	f.teams[id] = budget.Row{
		ID:        budget.ID{Scope: budget.Team, Value: id},
		Names:     budget.Names{Alias: alias},
		Spend:     budget.Some(spend),
		MaxBudget: budget.Some(cap),
		Link:      budget.BudgetLink{State: budget.LinkNone},
	}
}

// change edits a row.
func (f *fakeLiteLLM) change(id string, edit func(*budget.Row)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, rows := range []map[string]budget.Row{f.keys, f.teams} {
		if row, ok := rows[id]; ok {
			edit(&row)
			rows[id] = row
		}
	}
}

func (f *fakeLiteLLM) spend(id string, usd float64) {
	f.change(id, func(r *budget.Row) { r.Spend = budget.Some(usd) })
}

func (f *fakeLiteLLM) remove(id string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	clear(f.orders)
	delete(f.keys, id)
	delete(f.teams, id)
}

func (f *fakeLiteLLM) setDown(down bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.down = down
}

func (f *fakeLiteLLM) failing(fail func(endpoint, arg string) error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fail = fail
}

func (f *fakeLiteLLM) twisting(twist func(endpoint string, page litellm.Page) litellm.Page) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.twist = twist
}

// sent returns the calls of an endpoint, all calls for "".
func (f *fakeLiteLLM) sent(endpoint string) []call {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(f.calls), func(c call) bool { return endpoint != "" && c.endpoint != endpoint })
}

func (f *fakeLiteLLM) forgetCalls() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls, f.busy = nil, 0
}

func apiError(endpoint string, r litellm.Reason) error {
	return &litellm.Error{Endpoint: endpoint, Reason: r}
}

// serve is the part that all requests share.
func (f *fakeLiteLLM) serve(ctx context.Context, endpoint, arg string) error {
	f.mu.Lock()
	f.calls = append(f.calls, call{endpoint, arg, time.Now()})
	f.busy += f.latency
	latency, fail, down := f.latency, f.fail, f.down
	f.mu.Unlock()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(latency):
	}
	if down {
		return apiError(endpoint, litellm.Connection)
	}
	if fail != nil {
		return fail(endpoint, arg)
	}
	return nil
}

func (f *fakeLiteLLM) Release(ctx context.Context) (string, error) {
	if err := f.serve(ctx, "release", ""); err != nil {
		return "", err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.version, nil
}

func (f *fakeLiteLLM) Keys(ctx context.Context, o litellm.KeyOrder, page int) (litellm.Page, error) {
	endpoint, order := "keys", rowsByID
	if o == litellm.NewestFirst {
		endpoint, order = "newest", newestFirst
	}
	if err := f.serve(ctx, endpoint, fmt.Sprint(page)); err != nil {
		return litellm.Page{}, err
	}
	return f.page(endpoint, f.keys, order, page), nil
}

func (f *fakeLiteLLM) Teams(ctx context.Context, page int) (litellm.Page, error) {
	if err := f.serve(ctx, "teams", fmt.Sprint(page)); err != nil {
		return litellm.Page{}, err
	}
	return f.page("teams", f.teams, rowsByID, page), nil
}

func rowsByID(a, b budget.Row) int    { return strings.Compare(a.ID.Value, b.ID.Value) }
func newestFirst(a, b budget.Row) int { return b.CreatedAt.Value.Compare(a.CreatedAt.Value) }

func (f *fakeLiteLLM) page(endpoint string, rows map[string]budget.Row, order func(a, b budget.Row) int, n int) litellm.Page {
	f.mu.Lock()
	defer f.mu.Unlock()
	all := f.orders[endpoint]
	if all == nil {
		for _, row := range slices.SortedFunc(maps.Values(rows), order) {
			all = append(all, row.ID.Value)
		}
		f.orders[endpoint] = all
	}
	p := litellm.Page{Page: n, Total: len(all), TotalPages: (len(all) + litellm.PageSize - 1) / litellm.PageSize}
	from := min((n-1)*litellm.PageSize, len(all))
	for _, id := range all[from:min(from+litellm.PageSize, len(all))] {
		p.Rows = append(p.Rows, f.listed(rows[id]))
	}
	p.Received = len(p.Rows)
	if f.twist != nil {
		p = f.twist(endpoint, p)
	}
	return p
}

func (f *fakeLiteLLM) listed(row budget.Row) *budget.Row {
	row.ReadAt = time.Now()
	if f.hidesLinks && row.ID.Scope == budget.Key {
		row.Link = budget.BudgetLink{}
	}
	return &row
}

func (f *fakeLiteLLM) one(ctx context.Context, endpoint, id string, rows map[string]budget.Row) (*budget.Row, error) {
	if err := f.serve(ctx, endpoint, id); err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	row, ok := rows[id]
	if !ok {
		return nil, fmt.Errorf("%s: %w", endpoint, litellm.ErrNotFound)
	}
	row.ReadAt = time.Now()
	return &row, nil
}

func (f *fakeLiteLLM) Key(ctx context.Context, hash string) (*budget.Row, error) {
	row, err := f.one(ctx, "key", hash, f.keys)
	if err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.listed(*row), nil
}

func (f *fakeLiteLLM) KeysOfAlias(ctx context.Context, alias string, page int) (litellm.Page, error) {
	return f.ofAlias(ctx, "keys of alias", alias, page, f.keys)
}

func (f *fakeLiteLLM) TeamsOfAlias(ctx context.Context, alias string, page int) (litellm.Page, error) {
	return f.ofAlias(ctx, "teams of alias", alias, page, f.teams)
}

// ofAlias finds an alias anywhere in a name, as older releases do; a page holds two.
func (f *fakeLiteLLM) ofAlias(ctx context.Context, endpoint, alias string, page int, rows map[string]budget.Row) (litellm.Page, error) {
	if err := f.serve(ctx, endpoint, alias); err != nil {
		return litellm.Page{}, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	var held []*budget.Row
	for _, row := range slices.SortedFunc(maps.Values(rows), rowsByID) {
		if strings.Contains(strings.ToLower(row.Names.Alias), strings.ToLower(alias)) {
			held = append(held, f.listed(row))
		}
	}
	p := litellm.Page{Page: page, Total: len(held), TotalPages: (len(held) + 1) / 2}
	p.Rows = held[min(2*(page-1), len(held)):min(2*page, len(held))]
	p.Received = len(p.Rows)
	return p, nil
}

func (f *fakeLiteLLM) KeyInfo(ctx context.Context, hash string) (*budget.Row, error) {
	return f.one(ctx, "key info", hash, f.keys)
}

func (f *fakeLiteLLM) Team(ctx context.Context, id string) (*budget.Row, error) {
	return f.one(ctx, "team", id, f.teams)
}

func (f *fakeLiteLLM) TeamInfo(ctx context.Context, id string) (*budget.Row, error) {
	return f.one(ctx, "team info", id, f.teams)
}

func (f *fakeLiteLLM) KeysInfo(ctx context.Context, hashes []string) ([]*budget.Row, error) {
	if err := f.serve(ctx, "keys info", strings.Join(hashes, " ")); err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	var rows []*budget.Row
	for _, h := range hashes {
		if row, ok := f.keys[h]; ok {
			row.ID.Value, row.ReadAt = "", time.Now()
			rows = append(rows, &row)
		}
	}
	return rows, nil
}

func (f *fakeLiteLLM) Budgets(ctx context.Context) (map[string]budget.LinkedBudget, error) {
	if err := f.serve(ctx, "budgets", ""); err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return maps.Clone(f.budgets), nil
}

// fakeRedis holds counters that expire in the test's virtual time.
type fakeRedis struct {
	mu       sync.Mutex
	counters map[string]fakeCounter
	latency  time.Duration
	buffers  map[string]int64
	err      error
	lost     func(name string) bool // names on a node that does not answer
	bufErr   error
	read     []int // how many names each time
}

type fakeCounter struct {
	wrongType bool
	state     budget.CounterState
	usd       float64
	expires   time.Time
}

func newFakeRedis() *fakeRedis {
	return &fakeRedis{latency: time.Millisecond, counters: map[string]fakeCounter{}, buffers: map[string]int64{}}
}

func counterOfKey(hash string) string { return "spend:key:" + hash }

// set writes a counter that lives for one TTL.
func (f *fakeRedis) set(name string, usd float64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.counters[name] = fakeCounter{state: budget.CounterPresent, usd: usd, expires: time.Now().Add(time.Minute)}
}

// hold writes a counter that traffic keeps alive for the whole test.
func (f *fakeRedis) hold(name string, usd float64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.counters[name] = fakeCounter{state: budget.CounterPresent, usd: usd, expires: time.Now().Add(1000 * time.Hour)}
}

// drop lets a counter expire.
func (f *fakeRedis) drop(name string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.counters, name)
}

// spoil has something be in place of a counter that is no number: a text, or something of another type.
func (f *fakeRedis) spoil(name string, wrongType bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.counters[name] = fakeCounter{state: budget.CounterUnreadable, wrongType: wrongType, expires: time.Now().Add(1000 * time.Hour)}
}

func (f *fakeRedis) failing(err error, lost func(name string) bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.err, f.lost = err, lost
}

func (f *fakeRedis) reads() []int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.read)
}

func (f *fakeRedis) Read(ctx context.Context, names []string) ([]budget.Counter, error) {
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-time.After(f.latency):
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.read = append(f.read, len(names))
	readings := make([]budget.Counter, len(names))
	for i, name := range names {
		if f.err != nil && (f.lost == nil || f.lost(name)) {
			continue
		}
		c, ok := f.counters[name]
		left := time.Until(c.expires)
		switch {
		case !ok || left <= 0:
			readings[i] = budget.Counter{State: budget.CounterAbsent, ReadAt: time.Now()}
		case c.state != budget.CounterPresent:
			readings[i] = budget.Counter{State: c.state, WrongType: c.wrongType, ReadAt: time.Now()}
		default:
			readings[i] = budget.Counter{State: budget.CounterPresent, Value: c.usd, TTL: left, ReadAt: time.Now()}
		}
	}
	return readings, f.err
}

func (f *fakeRedis) BufferLengths(context.Context) (map[string]int64, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.err != nil {
		return nil, f.err
	}
	return maps.Clone(f.buffers), f.bufErr
}

func (f *fakeRedis) Form() counters.Form { return counters.Bare }

// fakeTelemetry counts what it is told.
type fakeTelemetry struct {
	mu     sync.Mutex
	errors map[string]int
	polls  map[string]int
}

func (f *fakeTelemetry) ObservePoll(loop string, _ time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.polls[loop]++
}

func (f *fakeTelemetry) CountError(source, reason string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.errors[source+" "+reason]++
}

func (f *fakeTelemetry) errorsOf(sourceAndReason string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.errors[sourceAndReason]
}

// rig is a poller over fakes.
type rig struct {
	*Poller
	t         *testing.T
	api       *fakeLiteLLM
	redis     *fakeRedis
	telemetry *fakeTelemetry
	log       *strings.Builder
	options   Options
}

// newRig makes a poller; setup may change what it reads and how.
func newRig(t *testing.T, setup func(*rig)) *rig {
	t.Helper()
	r := &rig{
		t: t, api: newFakeLiteLLM(), redis: newFakeRedis(), log: &strings.Builder{},
		telemetry: &fakeTelemetry{errors: map[string]int{}, polls: map[string]int{}},
	}
	r.options = Options{
		Identity:         "one",
		API:              r.api,
		Counters:         r.redis,
		MaxBusyRatio:     0.25,
		Inventory:        time.Minute,
		CounterInterval:  15 * time.Second,
		StalenessLiteLLM: 5 * time.Minute,
		StalenessRedis:   2 * time.Minute,
		Scopes:           budget.Scopes,
		Judge: judgement.Params{
			ToleranceUSD: 0.01, ToleranceRatio: 0.01, WriteLag: 15 * time.Second, CounterInterval: 15 * time.Second,
		},
		Telemetry: r.telemetry,
		Logger:    slog.New(slog.NewTextHandler(&lockedWriter{w: r.log}, nil)),
	}
	setup(r)
	r.Poller = New(r.options)
	return r
}

type lockedWriter struct {
	mu sync.Mutex
	w  io.Writer
}

func (l *lockedWriter) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(b)
}

// run runs a test in virtual time with the poller running, and ends it.
func run(t *testing.T, setup, test func(*rig)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, setup)
		stop := r.start()
		defer stop()
		test(r)
	})
}

// start runs the poller until the returned function is called.
func (r *rig) start() (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = r.Run(ctx)
	}()
	return func() {
		cancel()
		<-done
	}
}

// wait lets virtual time pass.
func (r *rig) wait(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// until lets virtual time pass until something holds, and returns how long that took.
func (r *rig) until(what string, atMost time.Duration, holds func() bool) time.Duration {
	r.t.Helper()
	start := time.Now()
	for {
		synctest.Wait()
		if holds() {
			return time.Since(start)
		}
		if time.Since(start) >= atMost {
			r.t.Fatalf("not within %v: %s", atMost, what)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// entity is a key or team of the snapshot, nil if it is not shown.
func (r *rig) entity(id string) *budget.Entity {
	for _, all := range r.Snapshot().Entities {
		for _, e := range all {
			if e.ID.Value == id {
				return e
			}
		}
	}
	return nil
}

func (r *rig) verdict(id string) budget.Verdict {
	if e := r.entity(id); e != nil {
		return e.Verdict
	}
	return "not shown"
}

func (r *rig) count(s budget.Scope) int { return len(r.Snapshot().Entities[s]) }

func (r *rig) source(s budget.Source) budget.SourceState { return r.Snapshot().Sources[s] }

func (r *rig) swept() bool { return r.Snapshot().LastFullSweep.Known }

// settle lets the loops come to rest after start: what was first seen counts as moved for one write lag.
func (r *rig) settle() { r.wait(time.Minute) }
