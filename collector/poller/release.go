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
	warned  bool // that the release could not be told
}

// observe takes in the version of one answer and says whether the release in use changed.
func (r *releases) observe(version string, now time.Time) bool {
	if version != r.answers || !r.known {
		r.answers, r.since = version, now
	}
	older := budget.CompareVersions(version, r.inUse.Version) < 0
	alone := version != r.inUse.Version && now.Sub(r.since) >= aloneFor
	if r.known && !older && !alone {
		return false
	}
	r.inUse, r.known = budget.ReleaseOf(version), true
	return true
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
