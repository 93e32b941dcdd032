// Package litellm reads LiteLLM's management API. One method is one request (Release: up to three); paging,
// pacing and retries are the caller's. It sends nothing that changes anything in LiteLLM.
package litellm

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"time"

	commoncfg "github.com/prometheus/common/config"

	"litellm_budget_exporter/collector/budget"
)

// Options say where LiteLLM is and how to authenticate.
type Options struct {
	URL     string                     // base URL, may have a path prefix
	HTTP    commoncfg.HTTPClientConfig // credential, TLS, proxy; files are re-read. Redirects are never followed.
	Timeout time.Duration              // of one request
	// Observe, if set, is called after each request with the path without prefix and query, and the
	// HTTP status code, or "none" without an answer.
	Observe func(endpoint, code string)
}

// Client sends requests to one LiteLLM. Its methods are safe for concurrent use; their errors are ErrNotFound
// where that is said, else an *Error.
type Client struct {
	base    *url.URL
	http    *http.Client
	timeout time.Duration
	observe func(endpoint, code string)
	strings sharedStrings
}

// The endpoints: everything the client can ask for. None of them changes anything, but for the side effect
// that is told at KeyInfo.
const (
	keyList          = "/key/list"
	keyInfo          = "/key/info"
	keysInfo         = "/v2/key/info" // POST, and yet a read
	teamList         = "/v2/team/list"
	teamInfo         = "/team/info"
	budgetList       = "/budget/list"
	spendLogs        = "/spend/logs/v2"
	hubInfo          = "/public/model_hub/info"
	readiness        = "/health/readiness"
	readinessDetails = "/health/readiness/details"
)

// KeyOrder is an order of /key/list.
type KeyOrder int

// The orders in use: ByToken does not shift while keys come and go and is served by an index;
// NewestFirst is by created_at.
const (
	ByToken KeyOrder = iota
	NewestFirst
)

// Page is one page of a list.
type Page struct {
	Rows       []*budget.Row // without UI session keys
	Received   int           // items in the answer, UI session keys included
	Page       int
	TotalPages int
	Total      int       // items in the whole list
	ReadAt     time.Time // when the answer had arrived: what it took to read it is no load on LiteLLM
}

// PageSize is the number of items asked for: the most that LiteLLM allows.
const PageSize = 100

// New makes a client; it sends nothing yet. It fails where the URL or the HTTP configuration cannot work.
func New(o Options) (*Client, error) {
	base, err := parseBase(o.URL)
	if err != nil {
		return nil, err
	}
	if o.Timeout <= 0 {
		return nil, errors.New("LiteLLM's timeout must be more than 0")
	}
	client, err := newHTTPClient(o.HTTP)
	if err != nil {
		return nil, err
	}
	return &Client{base: base, http: client, timeout: o.Timeout, observe: o.Observe}, nil
}

// Release asks for the version LiteLLM runs: /public/model_hub/info tells it without a credential or a database
// in every release read; where that is shut off, the readiness endpoints may.
func (c *Client) Release(ctx context.Context) (string, error) {
	var err error
	for _, endpoint := range []string{hubInfo, readiness, readinessDetails} {
		var version string
		version, err = c.version(ctx, endpoint)
		var failed *Error
		if err == nil || errors.As(err, &failed) && failed.Status == 0 {
			return version, err
		}
	}
	return "", err
}

func (c *Client) version(ctx context.Context, endpoint string) (string, error) {
	a, err := c.get(ctx, endpoint, nil)
	if err != nil {
		return "", err
	}
	version, err := decodeVersion(a.body)
	return version, a.malformed(err)
}

// Keys reads one page, from 1, of /key/list with whole objects.
func (c *Client) Keys(ctx context.Context, o KeyOrder, page int) (Page, error) {
	query := url.Values{"sort_by": {"token"}, "sort_order": {"asc"}}
	if o == NewestFirst {
		query = url.Values{"sort_by": {"created_at"}, "sort_order": {"desc"}}
	}
	return c.keys(ctx, query, page, PageSize)
}

func (c *Client) keys(ctx context.Context, query url.Values, page, size int) (Page, error) {
	query.Set("return_full_object", "true")
	query.Set("page", strconv.Itoa(page))
	query.Set("size", strconv.Itoa(size))
	a, err := c.get(ctx, keyList, query)
	if err != nil {
		return Page{}, err
	}
	p, err := a.decoder(&c.strings).keyPage(a.body, page)
	return p, a.malformed(err)
}

// Key reads one key by its hash through /key/list?key_hash=, which has no side effects; ErrNotFound if there is none.
func (c *Client) Key(ctx context.Context, hash string) (*budget.Row, error) {
	p, err := c.keys(ctx, url.Values{"key_hash": {hash}}, 1, 1)
	if err != nil {
		return nil, err
	}
	return only(p.Rows, hash, keyList)
}

// KeysOfAlias reads one page, from 1, of the keys that have an alias. Up to 1.87.5 LiteLLM adds those whose alias holds
// it, in whatever case.
func (c *Client) KeysOfAlias(ctx context.Context, alias string, page int) (Page, error) {
	return c.keys(ctx, url.Values{"sort_by": {"token"}, "sort_order": {"asc"}, "key_alias": {alias}}, page, PageSize)
}

// KeyInfo reads one key by its hash through /key/info; ErrNotFound if there is none, or only a deleted one.
// From 1.97.0 on it can make LiteLLM raise the window counters of a key that has windows.
func (c *Client) KeyInfo(ctx context.Context, hash string) (*budget.Row, error) {
	a, err := c.get(ctx, keyInfo, url.Values{"key": {hash}})
	if err != nil {
		return nil, err
	}
	row, err := a.decoder(&c.strings).keyInfo(a.body, hash)
	return row, a.malformed(err)
}

// KeysInfo reads many keys by POST /v2/key/info. The answer has no hashes, so the rows have an ID without
// Value: see MatchKeys. Keys that LiteLLM does not know are left out. Its side effect is KeyInfo's.
func (c *Client) KeysInfo(ctx context.Context, hashes []string) ([]*budget.Row, error) {
	if len(hashes) == 0 {
		return nil, nil
	}
	a, err := c.post(ctx, keysInfo, map[string][]string{"keys": hashes})
	if err != nil {
		return nil, err
	}
	rows, err := a.decoder(&c.strings).keysInfo(a.body)
	return rows, a.malformed(err)
}

// Teams reads one page, from 1, of /v2/team/list in the order of team_id, which does not shift.
func (c *Client) Teams(ctx context.Context, page int) (Page, error) {
	return c.teams(ctx, url.Values{"sort_by": {"team_id"}, "sort_order": {"asc"}}, page, PageSize)
}

func (c *Client) teams(ctx context.Context, query url.Values, page, size int) (Page, error) {
	query.Set("page", strconv.Itoa(page))
	query.Set("page_size", strconv.Itoa(size))
	a, err := c.get(ctx, teamList, query)
	if err != nil {
		return Page{}, err
	}
	p, err := a.decoder(&c.strings).teamPage(a.body, page)
	return p, a.malformed(err)
}

// Team reads one team through /v2/team/list?team_id=; ErrNotFound if there is none.
func (c *Client) Team(ctx context.Context, id string) (*budget.Row, error) {
	p, err := c.teams(ctx, url.Values{"team_id": {id}}, 1, 1)
	if err != nil {
		return nil, err
	}
	return only(p.Rows, id, teamList)
}

// TeamsOfAlias reads one page, from 1, of the teams whose alias holds a text, in whatever case.
func (c *Client) TeamsOfAlias(ctx context.Context, alias string, page int) (Page, error) {
	return c.teams(ctx, url.Values{"sort_by": {"team_id"}, "sort_order": {"asc"}, "team_alias": {alias}}, page, PageSize)
}

// TeamInfo reads one team through /team/info, which a credential that may not list can use; ErrNotFound if there is none.
func (c *Client) TeamInfo(ctx context.Context, id string) (*budget.Row, error) {
	// key_limit keeps the team's keys out of the answer from 1.90 on; earlier releases ignore it.
	a, err := c.get(ctx, teamInfo, url.Values{"team_id": {id}, "key_limit": {"1"}})
	if err != nil {
		return nil, err
	}
	row, err := a.decoder(&c.strings).teamInfo(a.body, id)
	return row, a.malformed(err)
}

// Budgets reads LiteLLM's budget table whole (/budget/list), by id.
func (c *Client) Budgets(ctx context.Context) (map[string]budget.LinkedBudget, error) {
	a, err := c.get(ctx, budgetList, nil)
	if err != nil {
		return nil, err
	}
	budgets, err := a.decoder(&c.strings).budgets(a.body)
	return budgets, a.malformed(err)
}

// only is the one row that a list asked for a single entity may hold.
func only(rows []*budget.Row, id, endpoint string) (*budget.Row, error) {
	if len(rows) == 0 {
		return nil, ErrNotFound
	}
	for _, r := range rows {
		if r.ID.Value != id {
			return nil, &Error{Endpoint: endpoint, Status: http.StatusOK, Reason: Malformed, Detail: "the answer is about another entity than the one asked for"}
		}
	}
	return rows[0], nil
}
