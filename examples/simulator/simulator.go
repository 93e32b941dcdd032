package simulator

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// Options say which LiteLLM is simulated. Zero values are defaults.
type Options struct {
	Release       string                // default: the newest of Releases
	Redis         redis.UniversalClient // where the counters are kept; required
	Namespace     string                // LiteLLM's cache namespace; default: none
	Clock         Clock                 // default: RealClock
	Seed          uint64                // of traffic and of made-up keys
	Workers       int                   // worker processes over all proxies; default 1
	FlushInterval time.Duration         // default 10 s, as LiteLLM; each worker's is up to 5 s longer
	ResetInterval time.Duration         // default 600 s, as LiteLLM
	MasterKey     string                // the admin's bearer; default "sk-master"

	// Elapse is told of the real time that passes during Run, for a Redis in which no time passes by
	// itself: miniredis's FastForward.
	Elapse func(time.Duration)
}

// Simulator is a simulated LiteLLM. Its methods are safe for concurrent use; the model inside runs one step at a time.
type Simulator struct {
	release   release
	clock     Clock
	masterKey string
	seed      uint64
	reset     time.Duration
	elapse    func(time.Duration)
	faults    faults
	shapes    shapes

	mu           sync.Mutex
	db           *database
	databaseDown bool
	counters     *counters
	workers      []*worker
	random       *rand.Rand
	madeUp       int // how many bearers were made up
	requests     int // how many requests came over HTTP
	loggedEver   int // how many requests were put in the log
	events       events
	healed       map[Incident]bool
}

// New returns a LiteLLM with an empty database and one user, its admin's "default_user_id".
func New(o Options) (*Simulator, error) {
	if o.Redis == nil {
		return nil, errors.New("simulator: no Redis: the counters have to be kept somewhere")
	}
	if o.Release == "" {
		o.Release = Releases[len(Releases)-1]
	}
	r, err := parseRelease(o.Release)
	if err != nil {
		return nil, fmt.Errorf("simulator: %w", err)
	}
	if o.Clock == nil {
		o.Clock = RealClock()
	}
	if o.Workers == 0 {
		o.Workers = 1
	}
	if o.FlushInterval == 0 {
		o.FlushInterval = 10 * time.Second
	}
	if o.ResetInterval == 0 {
		o.ResetInterval = 10 * time.Minute
	}
	if o.MasterKey == "" {
		o.MasterKey = "sk-master"
	}
	s := &Simulator{
		release: r, clock: o.Clock, masterKey: o.MasterKey, seed: o.Seed, reset: o.ResetInterval, elapse: o.Elapse,
		shapes:   shapesOf(r),
		db:       newDatabase(),
		counters: &counters{o.Redis, o.Namespace, r, o.Clock, map[string]time.Time{}},
		random:   rand.New(rand.NewPCG(o.Seed, 0)), //nolint:gosec // the same seed is to give the same traffic
		healed:   map[Incident]bool{},
	}
	s.db.users[adminUser] = &User{ID: adminUser, Role: Admin}
	for range o.Workers {
		w := newWorker()
		s.workers = append(s.workers, w)
		every := o.FlushInterval + time.Duration(s.random.Float64()*float64(5*time.Second))
		s.every(every, func(context.Context) { s.flush(w) })
	}
	s.every(o.ResetInterval, s.resetDue)
	return s, nil
}

// Release is the release that is simulated.
func (s *Simulator) Release() string { return s.release.name }

// MasterKey is the admin's bearer.
func (s *Simulator) MasterKey() string { return s.masterKey }

// Now is the model's time.
func (s *Simulator) Now() time.Time { return s.clock.Now() }

// now is the model's time as a database row keeps it.
func (s *Simulator) now() time.Time { return s.clock.Now().UTC().Truncate(time.Millisecond) }

// Step lets the given time pass: everything due in it happens at its moment, in order. The clock must be a ManualClock.
func (s *Simulator) Step(ctx context.Context, d time.Duration) error {
	manual, ok := s.clock.(*ManualClock)
	if !ok {
		return errors.New("simulator: Step needs a ManualClock")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	until := manual.Now().Add(d)
	s.happen(ctx, until, manual.set)
	manual.set(until)
	return s.counters.age(ctx)
}

// tick is how often a running simulator looks what is due, in real time.
const tick = 50 * time.Millisecond

// Run lets time pass by the clock until the context ends, which is no error.
func (s *Simulator) Run(ctx context.Context) error {
	if s.clock.Speed() == 0 {
		return errors.New("simulator: Run needs a clock that runs")
	}
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	last := time.Now()
	for {
		select {
		case <-ctx.Done():
			return nil
		case now := <-ticker.C:
			if s.elapse != nil {
				s.elapse(now.Sub(last))
			}
			last = now
			s.mu.Lock()
			s.happen(ctx, s.clock.Now(), func(time.Time) {})
			s.mu.Unlock()
		}
	}
}

// event is something that will happen.
type event struct {
	at     time.Time
	number int // of two at one moment the one planned first comes first
	happen func(context.Context)
}

func (e event) before(o event) bool {
	return e.at.Before(o.at) || e.at.Equal(o.at) && e.number < o.number
}

// events are what will happen, the next one last, and how many were ever planned.
type events struct {
	planned int
	queue   []event
}

func (es *events) plan(at time.Time, happen func(context.Context)) {
	es.planned++
	e := event{at, es.planned, happen}
	i, _ := slices.BinarySearchFunc(es.queue, e, func(a, b event) int {
		if b.before(a) {
			return -1
		}
		return 1
	})
	es.queue = slices.Insert(es.queue, i, e)
}

// next takes out the next event that is due by the given time.
func (es *events) next(until time.Time) (event, bool) {
	last := len(es.queue) - 1
	if last < 0 || es.queue[last].at.After(until) {
		return event{}, false
	}
	e := es.queue[last]
	es.queue = es.queue[:last]
	return e, true
}

// after plans something.
func (s *Simulator) after(d time.Duration, happen func(context.Context)) {
	s.events.plan(s.clock.Now().Add(d), happen)
}

// every plans something again and again.
func (s *Simulator) every(d time.Duration, happen func(context.Context)) {
	s.after(d, func(ctx context.Context) {
		happen(ctx)
		s.every(d, happen)
	})
}

// happen lets everything happen that is due.
func (s *Simulator) happen(ctx context.Context, until time.Time, setClock func(time.Time)) {
	for e, due := s.events.next(until); due; e, due = s.events.next(until) {
		setClock(e.at)
		e.happen(ctx)
	}
}

// AddKey adds a virtual key and returns it as it is kept, with its bearer and hash.
func (s *Simulator) AddKey(k Key) Key {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.addKey(k)
}

// AddKeys adds n keys, each made by the given function of its number, and created a millisecond after the one before.
func (s *Simulator) AddKeys(n int, key func(i int) Key) {
	s.mu.Lock()
	defer s.mu.Unlock()
	first := s.now().Add(-time.Duration(n) * time.Millisecond)
	for i := range n {
		k := key(i)
		k.CreatedAt = first.Add(time.Duration(i) * time.Millisecond)
		s.addKey(k)
	}
}

func (s *Simulator) addKey(k Key) Key {
	if k.Hash == "" {
		if k.Raw == "" {
			k.Raw = s.makeUpBearer()
		}
		k.Hash = Hash(k.Raw)
	}
	if k.Name == "" {
		k.Name = maskedName(k.Raw)
	}
	if k.CreatedAt.IsZero() {
		k.CreatedAt = s.now()
	}
	if k.UpdatedAt.IsZero() {
		k.UpdatedAt = k.CreatedAt
	}
	s.db.put(&k)
	return k
}

// Hash is how LiteLLM names a bearer: its SHA-256 in lower-case hex.
func Hash(raw string) string {
	sum := sha256.Sum256([]byte(raw))
	return hex.EncodeToString(sum[:])
}

// makeUpBearer is a bearer that depends on nothing but the seed and how many there were before.
func (s *Simulator) makeUpBearer() string {
	s.madeUp++
	sum := sha256.Sum256(fmt.Appendf(nil, "%d/%d", s.seed, s.madeUp))
	return "sk-" + base64.RawURLEncoding.EncodeToString(sum[:])[:22]
}

func maskedName(raw string) string {
	if len(raw) < 4 {
		return "sk-..."
	}
	return "sk-..." + raw[len(raw)-4:]
}

// Key is a copy of a key's row; ok is false when there is none of that hash.
func (s *Simulator) Key(hash string) (k Key, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if row := s.db.keys[hash]; row != nil {
		k = *row
		k.Windows = slices.Clone(row.Windows)
		return k, true
	}
	return Key{}, false
}

// EditKey changes a key's row as an edit in LiteLLM would, and touches no counter. It reports whether there is such
// a key. A changed hash is a regenerated key: the same row under a new name.
func (s *Simulator) EditKey(hash string, edit func(*Key)) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	k := s.db.keys[hash]
	if k == nil {
		return false
	}
	before := *k
	edit(k)
	k.UpdatedAt = s.now()
	if k.Hash != before.Hash || k.TeamID != before.TeamID || !k.CreatedAt.Equal(before.CreatedAt) {
		s.db.remove(&before)
		s.db.put(k)
	}
	return true
}

// RegenerateKey gives a key a new bearer, and so a new hash, which it returns; the row stays. The old counter is
// left to expire.
func (s *Simulator) RegenerateKey(hash string) (newHash string) {
	s.mu.Lock()
	raw := s.makeUpBearer()
	s.mu.Unlock()
	s.EditKey(hash, func(k *Key) { k.Raw, k.Hash, k.Name = raw, Hash(raw), maskedName(raw) })
	return Hash(raw)
}

// DeleteKey deletes a key's row. Its counter is left to expire.
func (s *Simulator) DeleteKey(hash string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if k := s.db.keys[hash]; k != nil {
		s.db.remove(k)
	}
}

// AddTeam adds a team.
func (s *Simulator) AddTeam(t Team) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if t.CreatedAt.IsZero() {
		t.CreatedAt = s.now()
	}
	if t.UpdatedAt.IsZero() {
		t.UpdatedAt = t.CreatedAt
	}
	s.db.teams[t.ID] = &t
}

// Team is a copy of a team's row; ok is false when there is none of that id.
func (s *Simulator) Team(id string) (t Team, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if row := s.db.teams[id]; row != nil {
		t = *row
		t.Windows, t.Members = slices.Clone(row.Windows), slices.Clone(row.Members)
		return t, true
	}
	return Team{}, false
}

// EditTeam changes a team's row and touches no counter. It reports whether there is such a team.
func (s *Simulator) EditTeam(id string, edit func(*Team)) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.db.teams[id]
	if t == nil {
		return false
	}
	edit(t)
	t.UpdatedAt = s.now()
	return true
}

// DeleteTeam deletes a team's row.
func (s *Simulator) DeleteTeam(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.db.teams, id)
}

// AddUser adds a user.
func (s *Simulator) AddUser(u User) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.db.users[u.ID] = &u
}

// AddOrganization adds an organization.
func (s *Simulator) AddOrganization(o Organization) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.db.organizations[o.ID] = &o
}

// PutBudget adds a budget, or replaces the one of its id.
func (s *Simulator) PutBudget(b Budget) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if b.CreatedAt.IsZero() {
		b.CreatedAt = s.now()
	}
	b.UpdatedAt = s.now()
	s.db.budgets[b.ID] = &b
}

// SetKeySpend edits a key's spend the way LiteLLM's /key/update does, with what the release then does to the counter.
func (s *Simulator) SetKeySpend(ctx context.Context, hash string, usd float64) {
	s.EditKey(hash, func(k *Key) { k.Spend = usd })
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.release.is(editSets):
		s.counters.set(ctx, KeyCounter(hash), pythonFloat(usd), counterTTL)
	case s.release.is(editDeletes):
		s.counters.del(ctx, KeyCounter(hash))
	}
}

// ResetKeySpend is LiteLLM's /key/…/reset_spend: the row becomes 0, and the counter, too, where the release thinks of it.
func (s *Simulator) ResetKeySpend(ctx context.Context, hash string) {
	s.EditKey(hash, func(k *Key) { k.Spend = 0 })
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.release.is(resetSpendSets) {
		s.counters.set(ctx, KeyCounter(hash), "0.0", counterTTL)
	}
}

// SetCounter writes a counter, named without namespace, behind LiteLLM's back: any text, for a time or, with a
// ttl of 0, for ever.
func (s *Simulator) SetCounter(ctx context.Context, name, text string, ttl time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.counters.set(ctx, name, text, ttl)
}

// DeleteCounter deletes a counter, named without namespace, as an operator would.
func (s *Simulator) DeleteCounter(ctx context.Context, name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.counters.redis.Del(ctx, s.counters.key(name))
	delete(s.counters.deadlines, name)
}
