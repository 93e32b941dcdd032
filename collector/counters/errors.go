package counters

// Reason is why a reading failed: a closed list, used as a label value.
type Reason string

// The reasons.
const (
	Timeout     Reason = "timeout"
	Connection  Reason = "connection"
	TLS         Reason = "tls"
	NoAuth      Reason = "noauth"
	NoPerm      Reason = "noperm"
	Loading     Reason = "loading"
	Unavailable Reason = "unavailable"
	WrongType   Reason = "wrongtype"
	Other       Reason = "other"
)

// Error is a reading that failed. Its text names the address, what happened and what to grant or mend; it
// holds no secret.
type Error struct {
	Reason  Reason
	Address string
	Err     error
}

func (e *Error) Error() string { panic("not yet") }

func (e *Error) Unwrap() error { return e.Err }
