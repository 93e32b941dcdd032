package litellm

import "errors"

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

// Error is a request that failed. Its text names the endpoint, what happened and what to grant or mend; it
// holds no secret.
type Error struct {
	Endpoint string // path without prefix and query
	Status   int    // HTTP status, 0 without an answer
	Reason   Reason
	Detail   string
	Err      error
}

func (e *Error) Error() string { panic("not yet") }

func (e *Error) Unwrap() error { return e.Err }
