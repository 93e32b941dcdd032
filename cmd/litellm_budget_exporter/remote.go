package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"litellm_budget_exporter/collector/casebook"
	"litellm_budget_exporter/collector/explain"
)

const (
	// askAgain is how often a running exporter is asked while an entity is followed.
	askAgain = 5 * time.Second
	// longestAnswer bounds what is read of it.
	longestAnswer = 16 << 20
)

// remote asks a running exporter.
type remote struct {
	url    string
	client *http.Client
}

func newRemote(exporter, entity string) (*remote, error) {
	u, err := url.Parse(exporter)
	switch {
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "":
		return nil, errors.New("--exporter: it must be a URL of the form http://host:10047")
	case u.User != nil:
		return nil, errors.New("--exporter: credentials do not belong on a command line")
	case u.RawQuery != "" || u.Fragment != "":
		return nil, errors.New("--exporter: it must have no more than scheme, host and path")
	}
	u = u.JoinPath("explain")
	u.RawQuery = url.Values{"id": {entity}, "format": {"json"}}.Encode()
	return &remote{url: u.String(), client: &http.Client{Timeout: 30 * time.Second}}, nil
}

func (r *remote) first(ctx context.Context) (*explain.Explanation, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, r.url, nil)
	if err != nil {
		return nil, fmt.Errorf("asking the exporter: %w", err)
	}
	resp, err := r.client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("asking the exporter: %w", err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, longestAnswer))
	if err != nil {
		return nil, fmt.Errorf("asking the exporter: %w", err)
	}
	if resp.StatusCode != http.StatusOK {
		var refused explainError
		if json.Unmarshal(body, &refused) == nil && len(refused.Matches) > 0 {
			return nil, &whichOf{refused.Matches}
		}
		return nil, fmt.Errorf("the exporter answers %s: %s", resp.Status, cmp.Or(refused.Error, "it may be older than this program"))
	}
	var x explain.Explanation
	if err := json.Unmarshal(body, &x); err != nil || len(x.Budgets) == 0 {
		return nil, errors.New("the exporter's answer is no explanation: is the URL that of a litellm_budget_exporter?")
	}
	return &x, nil
}

func (r *remote) next(ctx context.Context) (*explain.Explanation, error) {
	timer := time.NewTimer(askAgain)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-timer.C:
		return r.first(ctx)
	}
}

// settings are not known of another exporter: a case says what it leaves out is as by default.
func (r *remote) settings() (i casebook.Intervals, t casebook.Tolerance) { return i, t }
