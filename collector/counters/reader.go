package counters

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"litellm_budget_exporter/collector/budget"
)

// Mode is how Redis is run.
type Mode string

// The modes.
const (
	Standalone Mode = "standalone"
	Sentinel   Mode = "sentinel"
	Cluster    Mode = "cluster"
)

// Options say where LiteLLM's Redis is and how to authenticate.
type Options struct {
	Mode       Mode
	Addresses  []string // host:port: one (standalone), the Sentinels, or some nodes of the cluster
	MasterName string   // Sentinel only
	DB         int      // not with Cluster
	Username   string
	Password   func() (string, error) // asked at each new connection, so that a changed file is seen; nil = none
	// SentinelUsername and SentinelPassword authenticate at the Sentinels themselves.
	SentinelUsername string
	SentinelPassword func() (string, error)
	TLS              *tls.Config // nil = plain TCP
	Namespace        string      // LiteLLM's cache namespace, "" = none
	Timeout          time.Duration
	Logger           *slog.Logger // nil = none
}

// Form is how the names of counters stand in Redis.
type Form string

// The forms: without the namespace, or behind it ("ns:spend:…"). Unprobed until a counter was found in one of
// them. Without a namespace there is nothing to find out: Bare.
const (
	Unprobed Form = ""
	Bare     Form = "bare"
	Prefixed Form = "prefixed"
)

const (
	// batchSize is how many names one pipeline asks for. Redis turns to other clients between the commands of
	// a pipeline, each of which takes it about a microsecond; what is bounded is the memory of the answers.
	batchSize = 500

	// formKept is how long a form stays in use without a counter found in it: the default life of a counter.
	// A reading of a few cold counters says nothing about the form.
	formKept = time.Minute
)

// Reader reads counters from one Redis deployment. It may be used by several goroutines.
type Reader struct {
	deployment deployment
	namespace  string
	timeout    time.Duration

	logger *slog.Logger

	bareDenied atomic.Bool // the user may read prefixed counters only

	mu        sync.Mutex
	form      Form
	foundAt   time.Time // when a counter was last found in the form
	decidedAt time.Time // when both forms were looked for last
	decidedBy int       // how many names were asked for then
	mixed     bool      // counters of both were found then
}

// New makes a reader; it connects at the first reading.
func New(o Options) (*Reader, error) {
	if o.Timeout <= 0 {
		return nil, fmt.Errorf("redis: the timeout is %s; it must be longer than 0", o.Timeout)
	}
	deployment, err := newDeployment(o)
	if err != nil {
		return nil, fmt.Errorf("redis: %w", err)
	}
	r := &Reader{deployment: deployment, namespace: o.Namespace, timeout: o.Timeout, logger: o.Logger}
	if r.logger == nil {
		r.logger = slog.New(slog.DiscardHandler)
	}
	if r.namespace == "" {
		r.form = Bare
	}
	return r, nil
}

// Read reads the counters of the given names (without namespace) and returns one reading for each, in their
// order. With an error (an *Error) the readings of the nodes that failed are CounterUnread, the others hold.
//
// With a namespace all readings are of one form. LiteLLM prefixes its counters, but up to 1.99.4 leaves them
// bare when they merely begin with the namespace's text (namespace "spend"). One that was left behind in the other
// form tells nothing: the form of which more counters are there is in use, prefixed where both have as many.
func (r *Reader) Read(ctx context.Context, names []string) ([]budget.Counter, error) {
	if r.namespace == "" {
		return r.read(ctx, names, Bare)
	}
	prefixed, err := r.read(ctx, names, Prefixed)
	form, settled := r.settled(prefixed)
	switch {
	case form == Prefixed && (settled || err != nil):
		return prefixed, err
	case form == Unprobed && err != nil:
		return make([]budget.Counter, len(names)), err // what was not read could tell the form
	}
	bare, bareErr := r.read(ctx, names, Bare)
	if isReason(bareErr, NoPerm) && err == nil {
		r.decide(prefixed, nil)
		r.bareDenied.Store(true)
		return prefixed, nil
	}
	if err == nil && bareErr == nil {
		form = r.decide(prefixed, bare)
	}
	if form == Prefixed {
		return prefixed, cmp.Or(err, bareErr)
	}
	return bare, cmp.Or(bareErr, err)
}

// read reads the counters of the names in one form.
func (r *Reader) read(ctx context.Context, names []string, form Form) ([]budget.Counter, error) {
	values := make([]*redis.StringCmd, len(names))
	lives := make([]*redis.DurationCmd, len(names))
	counters := make([]budget.Counter, len(names))
	err := r.ask(ctx, r.keys(names, form),
		func(p redis.Pipeliner, i int, key string) {
			values[i], lives[i] = p.Get(ctx, key), p.PTTL(ctx, key)
		},
		func(i int, at time.Time) (err error) {
			counters[i], err = reading(values[i], lives[i], at)
			return err
		})
	return counters, err
}

// keys are the names as they stand in Redis in one form.
func (r *Reader) keys(names []string, form Form) []string {
	if form == Bare {
		return names
	}
	keys := make([]string, len(names))
	for i, name := range names {
		keys[i] = r.namespace + ":" + name
	}
	return keys
}

// settled returns the form in use, and whether that it is the prefixed one needs no second look: bare counters are
// looked for when no prefixed one was found for as long as a counter lives, and once in that time anyway.
func (r *Reader) settled(prefixed []budget.Counter) (form Form, settled bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.form == Prefixed && there(prefixed) > 0 {
		r.foundAt = time.Now()
	}
	due := time.Since(r.decidedAt) >= formKept && len(prefixed) >= r.decidedBy && !r.bareDenied.Load()
	return r.form, time.Since(r.foundAt) < formKept && !due
}

// decide finds out the form in use from readings in both, and goes back to not knowing it when no counter was found
// for as long as one lives. A reading of less than what decided last, such as of one entity, does not overrule that.
func (r *Reader) decide(prefixed, bare []budget.Counter) Form {
	r.mu.Lock()
	defer r.mu.Unlock()
	p, b := there(prefixed), there(bare)
	whole := len(prefixed) >= r.decidedBy || time.Since(r.decidedAt) >= 2*formKept
	switch {
	case p+b == 0 && time.Since(r.foundAt) >= formKept:
		r.form, r.decidedBy = Unprobed, 0
	case p+b > 0 && (whole || r.form == Unprobed):
		r.form, r.decidedAt, r.decidedBy = Prefixed, time.Now(), len(prefixed)
		if b > p {
			r.form = Bare
		}
		if mixed := p > 0 && b > 0; mixed && !r.mixed {
			r.logger.Warn("counters are in Redis with the namespace and without; those of the rarer form are left out",
				slog.Int("prefixed", p), slog.Int("bare", b), slog.String("used", string(r.form)))
		}
		r.mixed = p > 0 && b > 0
	}
	if r.form == Bare && b > 0 || r.form == Prefixed && p > 0 {
		r.foundAt = time.Now()
	}
	return r.form
}

// there counts the counters that were found.
func there(readings []budget.Counter) (n int) {
	for _, c := range readings {
		if c.State == budget.CounterPresent || c.State == budget.CounterUnreadable {
			n++
		}
	}
	return n
}

// ask sends commands about keys in pipelines of bounded size, to several nodes at once, and stops at the first
// failure of a node. queue adds the commands about one key; answered looks at their answers, which arrived at
// the given time, and returns the error that makes the reading of the node a failure.
func (r *Reader) ask(ctx context.Context, keys []string,
	queue func(p redis.Pipeliner, i int, key string), answered func(i int, at time.Time) error,
) error {
	located, cancel := context.WithTimeout(ctx, r.timeout)
	nodes, err := r.deployment.nodes(located, keys)
	cancel()
	if err != nil {
		return err
	}
	errs := make([]error, len(nodes))
	var wg sync.WaitGroup
	for n, node := range nodes {
		wg.Go(func() {
			for batch := range slices.Chunk(node.keys, batchSize) {
				if err := r.askBatch(ctx, node, batch, keys, queue, answered); err != nil {
					errs[n] = newError(node.address, err)
					return
				}
			}
		})
	}
	wg.Wait()
	return cmp.Or(errs...)
}

func (r *Reader) askBatch(ctx context.Context, node node, batch []int, keys []string,
	queue func(redis.Pipeliner, int, string), answered func(int, time.Time) error,
) error {
	ctx, cancel := context.WithTimeout(ctx, r.timeout)
	defer cancel()
	pipe := node.client.Pipeline()
	for _, i := range batch {
		queue(pipe, i, keys[i])
	}
	commands, err := execute(ctx, pipe)
	at := time.Now()
	failed := func(c redis.Cmder) bool { return c.Err() != nil }
	if err != nil && !slices.ContainsFunc(commands, failed) {
		return err // of the whole pipeline; the commands do not know it
	}
	var failure error
	for _, i := range batch {
		failure = cmp.Or(failure, answered(i, at))
	}
	return failure
}

// execute sends a pipeline and waits for its answers or the end of the context. The client itself waits for the
// context's deadline only, not for its cancellation.
func execute(ctx context.Context, pipe redis.Pipeliner) ([]redis.Cmder, error) {
	type result struct {
		commands []redis.Cmder
		err      error
	}
	done := make(chan result, 1)
	go func() {
		commands, err := pipe.Exec(ctx)
		done <- result{commands, err}
	}()
	select {
	case r := <-done:
		return r.commands, r.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Form is the form of the names in use.
func (r *Reader) Form() Form {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.form
}

// Close ends the connections.
func (r *Reader) Close() error { return r.deployment.close() }

func isReason(err error, reason Reason) bool {
	var e *Error
	return errors.As(err, &e) && e.Reason == reason
}
