package poller

import (
	"errors"
	"log/slog"
	"slices"
	"time"

	"github.com/cenkalti/backoff/v5"

	"litellm_budget_exporter/collector/budget"
	"litellm_budget_exporter/collector/counters"
	"litellm_budget_exporter/collector/litellm"
)

// source is how the reading of one source goes. It is up while none of the loops that read it fails.
type source struct {
	name        budget.Source
	failing     map[string]failure // by loop
	tried       bool
	lastSuccess time.Time

	// retryAt is until when nothing is asked of LiteLLM after a failure. A refusal waits for longer: LiteLLM writes
	// a row for every request that it refuses.
	retryAt time.Time
	trouble *backoff.ExponentialBackOff
	refusal *backoff.ExponentialBackOff
}

type failure struct {
	reason, text string
	retryAfter   time.Duration // what LiteLLM asks to wait at least
}

func failureOf(err error) failure {
	f := failure{reason: reasonOf(err), text: err.Error()}
	if l, ok := errors.AsType[*litellm.Error](err); ok {
		f.retryAfter = l.RetryAfter
	}
	return f
}

func newSource(name budget.Source) *source {
	s := &source{
		name:    name,
		failing: map[string]failure{},
		trouble: &backoff.ExponentialBackOff{
			InitialInterval: 5 * time.Second, Multiplier: 2, RandomizationFactor: 0.2, MaxInterval: time.Minute,
		},
		refusal: &backoff.ExponentialBackOff{
			InitialInterval: 30 * time.Second, Multiplier: 2, RandomizationFactor: 0.2, MaxInterval: 5 * time.Minute,
		},
	}
	s.forgetBackoff()
	return s
}

func (s *source) forgetBackoff() {
	s.retryAt = time.Time{}
	s.trouble.Reset()
	s.refusal.Reset()
}

// lastingReasons are those that time alone does not mend.
var lastingReasons = []string{
	string(litellm.Unauthorized), string(litellm.Forbidden), string(litellm.NotAdmin),
	string(litellm.ViewerWithoutUser), string(litellm.OwnBudget), string(litellm.RateLimited),
}

// reasonOf is why a reading failed, as a label value.
func reasonOf(err error) string {
	if l, ok := errors.AsType[*litellm.Error](err); ok {
		return string(l.Reason)
	}
	if c, ok := errors.AsType[*counters.Error](err); ok {
		return string(c.Reason)
	}
	return string(litellm.Other)
}

// progress takes in one answer: while nothing fails, a loop that takes long is a success all along.
func (s *source) progress(now time.Time) {
	if len(s.failing) == 0 {
		s.lastSuccess = now
	}
}

// fail takes in a failed cycle of a loop and says whether its reason is news.
func (s *source) fail(loop string, f failure, now time.Time) (news bool) {
	news = true
	for _, known := range s.failing {
		news = news && known.reason != f.reason
	}
	s.failing[loop], s.tried = f, true
	wait := s.trouble
	if slices.Contains(lastingReasons, f.reason) {
		wait = s.refusal
	}
	s.retryAt = now.Add(max(wait.NextBackOff(), f.retryAfter))
	return news
}

// succeed takes in a whole cycle of a loop and says whether the source is up again because of it.
func (s *source) succeed(loop string, now time.Time) bool {
	s.tried = true
	return s.mend(loop, now)
}

// mend takes back the failure of a loop.
func (s *source) mend(loop string, now time.Time) bool {
	before := len(s.failing)
	delete(s.failing, loop)
	if len(s.failing) > 0 {
		return false
	}
	s.lastSuccess = now
	s.forgetBackoff()
	return before > 0
}

func (s *source) up() bool { return len(s.failing) == 0 && !s.lastSuccess.IsZero() }

// fresh says whether what the source told may still be shown.
func (s *source) fresh(now time.Time, staleness time.Duration) bool {
	return !s.lastSuccess.IsZero() && now.Sub(s.lastSuccess) <= staleness
}

func (s *source) state() budget.SourceState {
	state := budget.SourceState{Up: s.up()}
	if !s.lastSuccess.IsZero() {
		state.LastSuccess = budget.Some(s.lastSuccess)
	}
	for _, loop := range []string{confirmationLoop, rowsLoop, countersLoop, inventoryLoop} {
		if f, ok := s.failing[loop]; ok {
			state.Problem = f.text
		}
	}
	return state
}

// failed records that a cycle of a loop failed on a source.
func (p *Poller) failed(name budget.Source, loop string, err error) {
	f := failureOf(err)
	p.options.Telemetry.CountError(string(name), f.reason)
	p.mu.Lock()
	news := p.sources[name].fail(loop, f, time.Now())
	p.sourcesChanged()
	p.mu.Unlock()
	if news {
		p.options.Logger.Error("reading a source failed",
			slog.String("source_name", string(name)), slog.String("loop", loop),
			slog.String("reason", f.reason), slog.String("problem", f.text))
	}
}

// succeeded records that a cycle of a loop read all it wanted of a source.
func (p *Poller) succeeded(name budget.Source, loop string) {
	p.mu.Lock()
	again := p.sources[name].succeed(loop, time.Now())
	p.sourcesChanged()
	p.mu.Unlock()
	if again {
		p.options.Logger.Info("a source is read again", slog.String("source_name", string(name)))
	}
}

// idled records that a loop had nothing to read: what it failed on is no longer wanted.
func (p *Poller) idled(name budget.Source, loop string) {
	p.mu.Lock()
	_, failing := p.sources[name].failing[loop]
	p.mu.Unlock()
	if failing {
		p.succeeded(name, loop)
	}
}

// progressed records that LiteLLM answered one of many requests.
func (p *Poller) progressed() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sources[budget.LiteLLM].progress(time.Now())
	p.snapshot = nil
}

// sourcesChanged lets entities enter verdicts only while no source fails, and leaves alone a LiteLLM that does.
func (p *Poller) sourcesChanged() {
	entering := true
	for _, s := range p.sources {
		entering = entering && len(s.failing) == 0
	}
	p.judge.SetEntering(entering)
	p.duty.hold(p.sources[budget.LiteLLM].retryAt)
	p.snapshot = nil
}

// retryAt is until when LiteLLM is left alone.
func (p *Poller) retryAt() time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.sources[budget.LiteLLM].retryAt
}
