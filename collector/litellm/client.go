// Package litellm reads LiteLLM's management API. One method is one request: paging, pacing and retries
// are the caller's. It sends nothing that changes anything in LiteLLM.
package litellm

import (
	"context"
	"time"

	commoncfg "github.com/prometheus/common/config"

	"litellm_budget_exporter/collector/budget"
)

// Options say where LiteLLM is and how to authenticate.
type Options struct {
	URL     string                     // base URL, may have a path prefix
	HTTP    commoncfg.HTTPClientConfig // credential, TLS, proxy; files are re-read
	Timeout time.Duration              // of one request
	// Observe, if set, is called after each request with the path without prefix and query, and the
	// HTTP status code, or "none" without an answer.
	Observe func(endpoint, code string)
}

// Client sends requests to one LiteLLM.
type Client struct{}

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
	Total      int // items in the whole list
}

// PageSize is the number of items asked for: the most that LiteLLM allows.
const PageSize = 100

// New makes a client; it sends nothing yet.
func New(o Options) (*Client, error) { panic("not yet") }

// Release asks for the version LiteLLM runs.
func (c *Client) Release(ctx context.Context) (string, error) { panic("not yet") }

// Keys reads one page, from 1, of /key/list with whole objects.
func (c *Client) Keys(ctx context.Context, o KeyOrder, page int) (Page, error) { panic("not yet") }

// Key reads one key by its hash through /key/list?key_hash=, which has no side effects; ErrNotFound if there is none.
func (c *Client) Key(ctx context.Context, hash string) (*budget.Row, error) { panic("not yet") }

// KeyInfo reads one key by its hash through /key/info; ErrNotFound if there is none, or only a deleted one.
// From 1.97.0 on it can make LiteLLM raise the window counters of a key that has windows.
func (c *Client) KeyInfo(ctx context.Context, hash string) (*budget.Row, error) { panic("not yet") }

// KeysInfo reads many keys by POST /v2/key/info. The answer has no hashes, so the rows have an ID without
// Value: see MatchKeys. Its side effect is KeyInfo's.
func (c *Client) KeysInfo(ctx context.Context, hashes []string) ([]*budget.Row, error) {
	panic("not yet")
}

// MatchKeys gives the rows of a KeysInfo answer the hashes of the known rows they belong to, by what cannot
// change in a key: created_at and key_name. Whatever is missing or ambiguous is in unmatched, to be read singly.
func MatchKeys(known, answer []*budget.Row) (matched []*budget.Row, unmatched []string) {
	panic("not yet")
}

// Teams reads one page, from 1, of /v2/team/list.
func (c *Client) Teams(ctx context.Context, page int) (Page, error) { panic("not yet") }

// Team reads one team through /v2/team/list?team_id=; ErrNotFound if there is none.
func (c *Client) Team(ctx context.Context, id string) (*budget.Row, error) { panic("not yet") }

// TeamInfo reads one team through /team/info, which a credential that may not list can use; ErrNotFound if there is none.
func (c *Client) TeamInfo(ctx context.Context, id string) (*budget.Row, error) { panic("not yet") }

// Budgets reads LiteLLM's budget table whole (/budget/list), by id.
func (c *Client) Budgets(ctx context.Context) (map[string]budget.LinkedBudget, error) {
	panic("not yet")
}
