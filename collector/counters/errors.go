package counters

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"

	"github.com/redis/go-redis/v9"

	"litellm_budget_exporter/collector/budget"
)

// Reason is why a reading failed: a closed list, used as a label value.
type Reason string

// The reasons.
const (
	Timeout     Reason = "timeout"     // no answer in time
	Connection  Reason = "connection"  // not reached, or the connection broke
	TLS         Reason = "tls"         // the handshake failed
	NoAuth      Reason = "noauth"      // NOAUTH, WRONGPASS, or no password to be had
	NoPerm      Reason = "noperm"      // NOPERM: a grant is missing
	Loading     Reason = "loading"     // LOADING: Redis reads its data from disk
	Unavailable Reason = "unavailable" // CLUSTERDOWN, MASTERDOWN, or the Sentinels know no master
	WrongType   Reason = "wrongtype"   // WRONGTYPE, of a buffer list or a counter
	Malformed   Reason = "malformed"   // a counter whose text is no finite number
	Other       Reason = "other"
)

// Reasons lists every reason.
var Reasons = []Reason{Timeout, Connection, TLS, NoAuth, NoPerm, Loading, Unavailable, WrongType, Malformed, Other}

// Error is a reading that failed. Its text names the address, what happened and what to grant or mend; it
// holds no secret.
type Error struct {
	Reason  Reason
	Address string
	Err     error
}

// newError finds the reason of an error that reading from an address gave.
func newError(address string, err error) *Error {
	return &Error{Reason: reasonOf(err), Address: address, Err: err}
}

// remedies say what to do about a reason.
var remedies = map[Reason]string{
	Timeout:     "see whether Redis is overloaded or the network drops packets, or raise redis.timeout (with TLS: a port without it does not answer either)",
	Connection:  "check that Redis runs, its address in the configuration, and whether it wants TLS or a client certificate",
	TLS:         "check redis.tls_config (ca_file, server_name, cert_file) against the server's certificate, and that this port speaks TLS",
	NoAuth:      "check redis.username and the password",
	NoPerm:      "grant the user what the README's Redis ACL lists: +get +pttl +llen on the counters and buffer lists, +select with a database, +cluster|slots in a Cluster",
	Loading:     "Redis reads its data from disk; nothing to do but wait",
	Unavailable: "Redis has no master for these keys now; look at its failover",
	WrongType:   "something other than LiteLLM uses this name; check the database and the namespace",
	Malformed:   "something other than LiteLLM wrote it; check the database and the namespace",
	Other:       "see Redis's log",
}

func (e *Error) Error() string {
	return fmt.Sprintf("redis at %s: %s; %s", e.Address, e.text(), remedies[e.Reason])
}

// text is what went wrong. An answer can repeat what was sent, the password included: "ERR unknown command `AUTH`,
// with args beginning with: …", where something else stands in for Redis.
func (e *Error) text() string {
	text, _, _ := strings.Cut(e.Err.Error(), ", with args beginning with")
	return text
}

func (e *Error) Unwrap() error { return e.Err }

// Unreadable is why a counter of state budget.CounterUnreadable is no number. That is no failure of a reading, and
// concerns its entity alone.
func Unreadable(c budget.Counter) Reason {
	if c.WrongType {
		return WrongType
	}
	return Malformed
}

// reasonOf finds the reason behind an error of the client library.
func reasonOf(err error) Reason {
	var (
		handshake *handshakeError
		password  *passwordError
		network   net.Error
		operation *net.OpError
	)
	answered := func(prefixes ...string) bool {
		return slices.ContainsFunc(prefixes, func(p string) bool { return redis.HasErrorPrefix(err, p) })
	}
	switch {
	case errors.As(err, &password), redis.IsAuthError(err),
		answered("invalid password", "AUTH "): // as Redis 5 says it, and for a password where none is set
		return NoAuth
	case redis.IsPermissionError(err):
		return NoPerm
	case redis.IsLoadingError(err):
		return Loading
	case errors.Is(err, errNoMaster), redis.IsClusterDownError(err), redis.IsMasterDownError(err):
		return Unavailable
	case answered("WRONGTYPE"):
		return WrongType
	case redis.IsMaxClientsError(err):
		return Connection
	case answered(""):
		return Other // some other answer of Redis
	case errors.Is(err, context.Canceled):
		return Other // the exporter's own doing
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, redis.ErrPoolTimeout),
		errors.As(err, &network) && network.Timeout():
		return Timeout
	case errors.As(err, &handshake),
		errors.As(err, &operation) && operation.Op == "remote error": // a TLS alert, such as for a missing client certificate
		return TLS
	}
	return Connection
}
