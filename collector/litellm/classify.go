package litellm

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// unanswered classifies a request without a whole answer: status is that of an answer that broke off, else 0.
func unanswered(endpoint string, status int, err error) *Error {
	for withURL := (*url.Error)(nil); errors.As(err, &withURL); {
		err = withURL.Err // its text holds the whole URL: LiteLLM's and, inside, that of an OAuth 2 server
	}
	return &Error{Endpoint: endpoint, Status: status, Reason: networkReason(err), Detail: oneLine(err.Error()), Err: err}
}

func networkReason(err error) Reason {
	var (
		network net.Error
		file    *fs.PathError
	)
	switch {
	case errors.Is(err, errTooLarge):
		return TooLarge
	case errors.Is(err, context.Canceled), // the exporter's own doing: it shuts down or reloads
		errors.As(err, &file): // of a credential or certificate, read again for this request
		return Other
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &network) && network.Timeout():
		return Timeout
	case isTLS(err):
		return TLS
	}
	return Connection
}

func isTLS(err error) bool {
	var (
		unverified *tls.CertificateVerificationError
		record     tls.RecordHeaderError
		authority  x509.UnknownAuthorityError
		hostname   x509.HostnameError
		op         *net.OpError
	)
	return errors.As(err, &unverified) || errors.As(err, &record) || errors.As(err, &authority) || errors.As(err, &hostname) ||
		errors.Is(err, http.ErrSchemeMismatch) ||
		// crypto/tls reports alerts, ours and the peer's, as these two operations.
		errors.As(err, &op) && (op.Op == "remote error" || op.Op == "local error") ||
		strings.HasPrefix(err.Error(), "tls: ")
}

// refusal is what LiteLLM says in an answer that is no success.
type refusal struct {
	kind    string // error.type, "" where there is none
	message string
}

// readRefusal reads any of the shapes LiteLLM sends: {"error":{"message","type"}} (an endpoint's own refusal, when
// wrapped so, has the Python form of its detail as message), {"detail":"…"}, {"detail":{"error" or "message":"…"}},
// and FastAPI's list of validation errors. Of anything else nothing is read.
func readRefusal(body []byte) refusal {
	var wire struct {
		Error  json.RawMessage `json:"error"`
		Detail json.RawMessage `json:"detail"`
	}
	if json.Unmarshal(body, &wire) != nil {
		return refusal{}
	}
	var wrapped struct {
		Message json.RawMessage `json:"message"`
		Type    string          `json:"type"`
	}
	if json.Unmarshal(wire.Error, &wrapped) == nil {
		return refusal{kind: wrapped.Type, message: messageOf(wrapped.Message)}
	}
	return refusal{message: messageOf(wire.Detail) + messageOf(wire.Error)}
}

// messageOf finds the text in a message or detail: a string, an object that holds one, or a list of objects
// with "loc" and "msg".
func messageOf(raw json.RawMessage) string {
	var text string
	if json.Unmarshal(raw, &text) == nil {
		return text
	}
	var object struct {
		Error   string `json:"error"`
		Message string `json:"message"`
	}
	if json.Unmarshal(raw, &object) == nil {
		return object.Error + object.Message
	}
	var invalid []struct {
		Loc []any  `json:"loc"`
		Msg string `json:"msg"`
	}
	if json.Unmarshal(raw, &invalid) != nil {
		return ""
	}
	var parts []string
	for _, i := range invalid {
		where := ""
		if len(i.Loc) > 0 {
			where, _ = i.Loc[len(i.Loc)-1].(string)
		}
		parts = append(parts, where+": "+i.Msg)
	}
	return strings.Join(parts, ", ")
}

// refused makes the error of an answer that is no success: an *Error, or ErrNotFound.
func refused(endpoint string, status int, header http.Header, body []byte) error {
	r := readRefusal(body)
	if status == http.StatusNotFound && aboutOneEntity(endpoint) && entityUnknown.MatchString(r.message) {
		return ErrNotFound
	}
	e := &Error{Endpoint: endpoint, Status: status, Reason: refusalReason(status, r), Detail: redact(r.message)}
	switch status {
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		e.RetryAfter = retryAfter(header.Get("Retry-After"), time.Now())
	}
	if e.Reason == Redirect {
		// Only the host: path and query of a redirect can repeat what was asked, or hold a token.
		if to, err := url.Parse(header.Get("Location")); err == nil && to.Host != "" {
			e.Detail = "to " + to.Scheme + "://" + to.Host
		}
	}
	return e
}

func aboutOneEntity(endpoint string) bool { return endpoint == keyInfo || endpoint == teamInfo }

// The texts below are LiteLLM's own, as recorded from, or read in, releases 1.83.14 to 1.109.1.
var (
	// entityUnknown tells an entity that LiteLLM does not know from a path that the server does not know
	// ({"detail":"Not Found"}): a wrong URL must not make entities vanish.
	entityUnknown = regexp.MustCompile(`Key not found|Team not found`)

	noUser      = regexp.MustCompile(`No 'user_id' is associated`)
	roleTooLow  = regexp.MustCompile(`Only admin users can|Only proxy admin|Admin-only endpoint|user not allowed to access this route|You are not allowed to access this key's info|is an admin only route`)
	routeClosed = regexp.MustCompile(`not allowed to call this route`)

	// databaseDown is the driver's or LiteLLM's own text of a database that cannot be reached.
	databaseDown = regexp.MustCompile(`(?i)\bdb connected|connected db|\bdb not connected|database not connected|prisma client is not initialized` +
		`|query engine|can'?(no)?t reach database|error in postgresql connection|connection pool|connection attempts failed` +
		`|server has closed the connection|server disconnected|connection (refused|reset|closed|error)|could not connect` +
		`|can'?(no)?t connect|database system is|network is unreachable|no route to host|broken pipe|read ?timeout|connect ?timeout` +
		// With allow_requests_on_db_unavailable an outage turns the caller into this user, whose role is too low.
		`|__db_unavailable_fallback__`)

	// emptyFailure is how up to 1.86.2 an outage ends whose driver error has no text of its own.
	emptyFailure = regexp.MustCompile(`^Authentication Error, *$`)
)

func refusalReason(status int, r refusal) Reason {
	switch {
	case status >= 300 && status < 400:
		return Redirect
	case status < 300:
		return Malformed
	case r.kind == "budget_exceeded" && status < 500:
		return OwnBudget
	case r.kind == "no_db_connection":
		return DatabaseDown
	// Up to 1.86.2 an outage of the database answers 401 with the driver's text. A bad credential has types of
	// its own, whose messages are never searched for it.
	case r.kind == "token_not_found_in_db", r.kind == "expired_key":
		return Unauthorized
	case databaseDown.MatchString(r.message), emptyFailure.MatchString(r.message):
		return DatabaseDown
	case noUser.MatchString(r.message):
		return ViewerWithoutUser
	case routeClosed.MatchString(r.message):
		return Forbidden
	case roleTooLow.MatchString(r.message) && status < 500:
		return NotAdmin
	}
	switch {
	case status == http.StatusUnauthorized:
		return Unauthorized
	case status == http.StatusForbidden:
		return Forbidden
	case status == http.StatusTooManyRequests:
		return RateLimited
	case status >= 500:
		return ServerError
	}
	return Other
}

// longestWait bounds what a Retry-After is believed.
const longestWait = time.Hour

// retryAfter reads a Retry-After header: seconds or a date. Anything else is 0.
func retryAfter(value string, now time.Time) time.Duration {
	if seconds, err := strconv.Atoi(value); err == nil {
		return time.Duration(min(max(seconds, 0), int(longestWait/time.Second))) * time.Second
	}
	at, err := http.ParseTime(value)
	if err != nil {
		return 0
	}
	return min(max(at.Sub(now), 0), longestWait)
}

// userInURL is the user, with or without password, of a URL.
var userInURL = regexp.MustCompile(`//[^\s/@]*@`)

// secret is what a text of LiteLLM's may hold of one: keys (it repeats them shortened), bearer tokens, what is
// called a key or a password, and any long token: a hash, a JWT, a key of another form.
var secret = regexp.MustCompile(`(?i)\b(key|token|password|secret)\)? ?[=:] ?[^\s"',;)]+|\bsk-[^\s"',;)]*|\b(bearer|basic)\s+[^\s"',;)]+|[\w+=-]{32,}(\.[\w+=-]+)*`)

// redact makes a text of LiteLLM's fit for logs and pages.
func redact(text string) string { return oneLine(secret.ReplaceAllString(text, "<redacted>")) }

// longestDetail is the most of a text, in runes, that is repeated in an error.
const longestDetail = 240

// oneLine makes a text short, printable and one line, and takes the user out of its URLs.
func oneLine(text string) string {
	text = userInURL.ReplaceAllString(text, "//<redacted>@")
	text = strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return ' '
	}, strings.ToValidUTF8(text, "�"))
	if runes := []rune(text); len(runes) > longestDetail {
		text = string(runes[:longestDetail]) + "…"
	}
	return strings.TrimSpace(text)
}
