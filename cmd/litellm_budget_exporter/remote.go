package main

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	commoncfg "github.com/prometheus/common/config"
	"github.com/prometheus/common/version"

	"litellm_budget_exporter/collector/config"
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
	url      string
	client   *http.Client
	progress progress
}

// newRemote makes a client for the exporter at a URL. How to reach it, and with which credential, is in a file as other
// tools of Prometheus take it; none means a plain request.
func newRemote(exporter, httpConfigFile, entity string) (*remote, error) {
	u, err := url.Parse(exporter)
	switch {
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "":
		return nil, errors.New("--exporter: it must be a URL of the form http://host:10047")
	case u.User != nil:
		return nil, errors.New("--exporter: credentials do not belong on a command line; put them into a file for --http.config.file")
	case u.RawQuery != "" || u.Fragment != "":
		return nil, errors.New("--exporter: it must have no more than scheme, host and path")
	}
	u = u.JoinPath("explain")
	u.RawQuery = url.Values{"id": {entity}, "format": {"json"}}.Encode()
	cfg := &commoncfg.HTTPClientConfig{EnableHTTP2: true, ProxyConfig: commoncfg.ProxyConfig{ProxyFromEnvironment: true}}
	if httpConfigFile != "" {
		if cfg, err = config.LoadHTTPClient(httpConfigFile); err != nil {
			return nil, fmt.Errorf("--http.config.file: %w", err)
		}
	}
	cfg.FollowRedirects = false // no credential ever follows a redirect
	client, err := commoncfg.NewClientFromConfig(*cfg, "explain", commoncfg.WithUserAgent(name+"/"+version.Version))
	if err != nil {
		return nil, fmt.Errorf("--http.config.file: %s: %w", httpConfigFile, err)
	}
	client.Timeout = 30 * time.Second
	return &remote{url: u.String(), client: client}, nil
}

// first asks until nothing is open that was suspected when it was asked first, or that takes too long.
func (r *remote) first(ctx context.Context) (*explain.Explanation, error) {
	defer r.progress.clear()
	x, err := r.ask(ctx)
	if err != nil {
		return nil, err
	}
	asked, began := x.At, time.Now()
	patience := explainedWithin + duration(x.Read.WriteLag) + 2*duration(x.Read.Counters)
	for x.SuspectedSince(asked) && time.Since(began) < patience {
		r.progress.say(settling)
		if x, err = r.next(ctx); err != nil {
			return nil, err
		}
	}
	return x, nil
}

func duration(seconds float64) time.Duration { return time.Duration(seconds * float64(time.Second)) }

func (r *remote) ask(ctx context.Context) (*explain.Explanation, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, r.url, nil)
	if err != nil {
		return nil, fmt.Errorf("asking the exporter: %w", err)
	}
	resp, err := r.client.Do(req)
	if err != nil {
		err = withoutURLs(err)
		if _, untrusted := errors.AsType[*tls.CertificateVerificationError](err); untrusted {
			return nil, fmt.Errorf("asking the exporter: %w; its CA goes into tls_config.ca_file of a file for --http.config.file", err)
		}
		return nil, &unavailable{fmt.Errorf("asking the exporter: %w", err)}
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, longestAnswer))
	if err != nil {
		return nil, fmt.Errorf("asking the exporter: %w", err)
	}
	switch {
	case resp.StatusCode >= http.StatusInternalServerError:
		return nil, &unavailable{refusedBy(resp, body)}
	case resp.StatusCode != http.StatusOK:
		return nil, refusedBy(resp, body)
	}
	var x explain.Explanation
	if err := json.Unmarshal(body, &x); err != nil || len(x.Budgets) == 0 {
		return nil, errors.New("the exporter's answer is no explanation: is the URL that of a litellm_budget_exporter?")
	}
	return &x, nil
}

// withoutURLs is an error of an HTTP client without the URLs that it names: that of an OAuth 2 server or a proxy may
// hold a secret.
func withoutURLs(err error) error {
	for {
		named, ok := errors.AsType[*url.Error](err)
		if !ok {
			return err
		}
		err = named.Err
	}
}

// refusedBy is the error of an answer that is no explanation.
func refusedBy(resp *http.Response, body []byte) error {
	var refused explainError
	switch isOurs := json.Unmarshal(body, &refused) == nil && refused.Error != ""; {
	case len(refused.Matches) > 0:
		return &whichOf{refused.Matches}
	case isOurs:
		return fmt.Errorf("the exporter says: %s", refused.Error)
	case resp.StatusCode == http.StatusUnauthorized:
		return errors.New("the exporter answers 401 Unauthorized: put basic_auth with its password_file into a file for --http.config.file, or correct it there")
	case resp.StatusCode/100 == 3:
		return fmt.Errorf("the exporter answers %s to %s, which is not followed: give the URL where it really is",
			resp.Status, explain.Clean(resp.Header.Get("Location")))
	}
	return fmt.Errorf("the exporter answers %s: is the URL that of a litellm_budget_exporter, and does that one explain?", resp.Status)
}

// unavailable is the error of an exporter that may answer again: it is restarted, or has read nothing yet.
type unavailable struct{ error }

// next asks again. An exporter that does not answer is asked for as long as a source that fails is waited for.
func (r *remote) next(ctx context.Context) (*explain.Explanation, error) {
	defer r.progress.clear()
	ticker := time.NewTicker(askAgain)
	defer ticker.Stop()
	for began := time.Now(); ; {
		select {
		case <-ctx.Done():
			return nil, errInterrupted
		case <-ticker.C:
		}
		x, err := r.ask(ctx)
		if _, later := errors.AsType[*unavailable](err); !later || time.Since(began) > sourceGraceTime {
			return x, err
		}
		r.progress.say("the exporter does not answer")
	}
}
