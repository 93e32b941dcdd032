package litellm

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// ErrNotFound says that LiteLLM does not know the entity.
var ErrNotFound = errors.New("not found")

// Reason is why a request failed: a closed list, used as a label value.
type Reason string

// The reasons.
const (
	Timeout           Reason = "timeout"
	Connection        Reason = "connection"
	TLS               Reason = "tls"
	Redirect          Reason = "redirect"
	Unauthorized      Reason = "unauthorized"
	Forbidden         Reason = "forbidden"
	NotAdmin          Reason = "not_admin"
	ViewerWithoutUser Reason = "viewer_without_user"
	OwnBudget         Reason = "own_budget"
	RateLimited       Reason = "rate_limited"
	DatabaseDown      Reason = "database_down"
	ServerError       Reason = "server_error"
	Malformed         Reason = "malformed"
	TooLarge          Reason = "too_large"
	Other             Reason = "other"
)

// Reasons lists every reason.
var Reasons = []Reason{
	Timeout, Connection, TLS, Redirect, Unauthorized, Forbidden, NotAdmin, ViewerWithoutUser, OwnBudget,
	RateLimited, DatabaseDown, ServerError, Malformed, TooLarge, Other,
}

// hints say what to grant or mend; {endpoint} stands for the endpoint that failed.
var hints = map[Reason]string{
	Timeout:           "find out why LiteLLM is slow, or raise litellm.timeout",
	Connection:        "check litellm.url and proxy_url, and that LiteLLM runs and can be reached from here",
	TLS:               "check litellm.tls_config (ca_file, server_name, cert_file) against LiteLLM's certificate, and whether litellm.url should be http or https",
	Redirect:          "redirects are not followed, so that no credential follows one: set litellm.url to where LiteLLM really is",
	Unauthorized:      "check the credential (litellm.api_key or api_key_file): the key must exist and be neither expired nor blocked",
	Forbidden:         "the key may not call this route: add {endpoint} to its allowed_routes",
	NotAdmin:          "the role of the key's user may not read {endpoint}: give it proxy_admin_viewer (/budget/list needs proxy_admin up to 1.83), or name the keys and teams under entities",
	ViewerWithoutUser: "give the key the user_id of an existing user whose role is proxy_admin_viewer",
	OwnBudget:         "the exporter's own key, or its team, user or organization, is over a budget: use a key that has none, and belongs to nothing that has one",
	RateLimited:       "LiteLLM, or what stands before it, limits requests: raise intervals.inventory or lower litellm.max_busy_ratio",
	DatabaseDown:      "the database behind LiteLLM is down or cannot be reached from it; the credential is not at fault",
	ServerError:       "look into LiteLLM's log",
	Malformed:         "check that litellm.url leads to LiteLLM and that nothing in between rewrites or cuts its answers",
	TooLarge:          "check that litellm.url leads to LiteLLM",
	Other:             "check litellm.url with its path prefix, and the files that the configuration names",
}

// Error is a request that failed. Its text names the endpoint, what happened and what to grant or mend; it
// holds no secret.
type Error struct {
	Endpoint   string // path without prefix and query
	Status     int    // HTTP status, 0 without an answer
	Reason     Reason
	Detail     string        // what LiteLLM or the network said, without secrets
	RetryAfter time.Duration // how long LiteLLM (429, 503) asks to wait; 0 = it does not say
	Err        error
}

func (e *Error) Error() string {
	what := "no answer"
	if e.Status != 0 {
		what = fmt.Sprintf("HTTP %d", e.Status)
	}
	text := fmt.Sprintf("%s: %s (%s)", e.Endpoint, what, e.Reason)
	if e.Detail != "" {
		text += ": " + e.Detail
	}
	if hint := hints[e.Reason]; hint != "" {
		text += "; " + strings.ReplaceAll(hint, "{endpoint}", e.Endpoint)
	}
	return text
}

func (e *Error) Unwrap() error { return e.Err }
