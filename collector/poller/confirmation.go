package poller

import (
	"context"
	"time"

	"litellm_budget_exporter/collector/budget"
)

// confirmAgainAfter is the least time between two attempts to confirm one suspicion.
const confirmAgainAfter = 5 * time.Second

// keepConfirming reads row and counter of suspected entities again as soon as that can confirm the suspicion.
func (p *Poller) keepConfirming(ctx context.Context) {
	for ctx.Err() == nil {
		suspect, next := p.nextSuspect()
		if suspect == nil {
			sleepUntil(ctx, next, p.confirmNow)
			continue
		}
		start := time.Now()
		if err := p.confirm(ctx, suspect); ctx.Err() != nil {
			return
		} else if err != nil {
			p.failed(budget.LiteLLM, confirmationLoop, err)
		} else {
			p.succeeded(budget.LiteLLM, confirmationLoop)
		}
		p.options.Telemetry.ObservePoll(confirmationLoop, time.Since(start))
	}
}

// noSuspects is how long to wait for a wake-up call where there is nothing to wait for otherwise.
const noSuspects = time.Minute

// nextSuspect returns the most harmful of the entities that can be confirmed now: would be locked, would be
// bypassed, nearest the cap. If there is none, it says when to look again.
func (p *Poller) nextSuspect() (suspect *member, next time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	next = now.Add(noSuspects)
	blockedUntil := p.sources[budget.LiteLLM].retryAt
	if len(p.sources[budget.Redis].failing) > 0 {
		blockedUntil = later(blockedUntil, now.Add(time.Second))
	}
	if len(p.suspects) == 0 {
		p.mendConfirmation(now)
	}
	for m, notBefore := range p.suspects {
		s, _ := m.track.Suspicion()
		at := later(later(s.DueAt, notBefore), blockedUntil)
		if at.After(now) {
			next = earlier(next, at)
		} else if suspect == nil || moreHarmful(m, suspect) {
			suspect = m
		}
	}
	if suspect != nil {
		p.suspects[suspect] = now.Add(confirmAgainAfter)
	}
	return suspect, next
}

// mendConfirmation takes back a failure of this loop once nothing is left to confirm.
func (p *Poller) mendConfirmation(now time.Time) {
	litellm := p.sources[budget.LiteLLM]
	if _, failing := litellm.failing[confirmationLoop]; failing {
		litellm.mend(confirmationLoop, now)
		p.sourcesChanged()
	}
}

func moreHarmful(a, b *member) bool {
	sa, _ := a.track.Suspicion()
	sb, _ := b.track.Suspicion()
	if sa.Verdict != sb.Verdict {
		return sa.Verdict == budget.FalselyLocked
	}
	return sa.Nearest > sb.Nearest
}

// confirm reads the row of an entity and then its counter.
func (p *Poller) confirm(ctx context.Context, m *member) error {
	p.mu.Lock()
	id := m.track.Row().ID
	p.mu.Unlock()
	if err := p.readAgain(ctx, confirmation, id); err != nil {
		return err
	}
	if _, _, err := p.countSome(ctx, []*member{m}); err != nil && ctx.Err() == nil {
		p.failed(budget.Redis, countersLoop, err)
	}
	return nil
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}
