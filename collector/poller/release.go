package poller

import (
	"context"
	"log/slog"
	"time"

	"litellm_budget_exporter/collector/budget"
)

// aloneFor is for how long a newer release must answer alone before its rules hold: while proxies of two releases
// answer, as during a rolling upgrade, either may check the next request.
const aloneFor = 5 * time.Minute

// releases decides which release's rules hold from the versions that answer.
type releases struct {
	inUse   budget.Release
	known   bool
	answers string // the version that answered last
	since   time.Time
	raisers time.Time // when a release that raises window counters at /key/info last answered
	warned  bool      // that the release could not be told
}

// observe takes in the version of one answer and says whether the release in use changed.
func (r *releases) observe(version string, now time.Time) bool {
	if version != r.answers || !r.known {
		r.answers, r.since = version, now
	}
	if budget.ReleaseOf(version).Rules.KeyInfoRaisesWindows {
		r.raisers = now
	}
	older := budget.CompareVersions(version, r.inUse.Version) < 0
	alone := version != r.inUse.Version && now.Sub(r.since) >= aloneFor
	if r.known && !older && !alone {
		return false
	}
	r.inUse, r.known = budget.ReleaseOf(version), true
	return true
}

// raiseWindows says whether any proxy that may answer raises window counters at /key/info. Unlike the other rules
// this one is not the older release's while two answer: what the exporter must not cause, the newer one would do.
func (r *releases) raiseWindows(now time.Time) bool {
	return r.inUse.Rules.KeyInfoRaisesWindows || (!r.raisers.IsZero() && now.Sub(r.raisers) < aloneFor)
}

// detectRelease asks LiteLLM for its version. One that cannot be told is no failure: the last known, or the newest
// known rules are used, and the log says so.
func (p *Poller) detectRelease(ctx context.Context) {
	version := p.options.Version
	if version == "" {
		var err error
		version, err = request(ctx, p.duty, background, p.options.API.Release)
		if err != nil {
			p.warnOfRelease(ctx, err)
			return
		}
	}
	now := time.Now()
	p.mu.Lock()
	changed := p.releases.observe(version, now)
	p.releases.warned = false
	release := p.releases.inUse
	if changed {
		p.judge.SetRelease(release)
		p.refresh(now, func(*budget.Row) bool { return true })
	}
	p.mu.Unlock()
	if changed {
		p.options.Logger.Info("the rules of a LiteLLM release hold", slog.String("version", release.Version),
			slog.Bool("assumed", release.Assumed))
	}
}

func (p *Poller) warnOfRelease(ctx context.Context, err error) {
	p.mu.Lock()
	first := !p.releases.warned
	p.releases.warned = true
	p.mu.Unlock()
	if first && ctx.Err() == nil {
		p.options.Logger.Warn("LiteLLM's release could not be told; set litellm.version if it stays so",
			slog.String("problem", err.Error()))
	}
}
