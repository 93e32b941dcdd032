// Package counters reads LiteLLM's spend counters from Redis: exact names, value and remaining life, nothing
// else. It sends only commands that read.
package counters

import (
	"context"
	"crypto/tls"
	"time"

	"litellm_budget_exporter/collector/budget"
)

// Mode is how Redis is run.
type Mode string

// The modes.
const (
	Standalone Mode = "standalone"
	Sentinel   Mode = "sentinel"
	Cluster    Mode = "cluster"
)

// Options say where LiteLLM's Redis is and how to authenticate.
type Options struct {
	Mode       Mode
	Addresses  []string // host:port: one (standalone), the Sentinels, or some nodes of the cluster
	MasterName string   // Sentinel only
	DB         int      // not with Cluster
	Username   string
	Password   func() (string, error) // asked at each new connection, so that a changed file is seen; nil = none
	// SentinelUsername and SentinelPassword authenticate at the Sentinels themselves.
	SentinelUsername string
	SentinelPassword func() (string, error)
	TLS              *tls.Config // nil = plain TCP
	Namespace        string      // LiteLLM's cache namespace, "" = none
	Timeout          time.Duration
}

// Form is how the names of counters stand in Redis.
type Form string

// The forms: without the namespace, or behind it ("ns:spend:…"). Unprobed until a counter was found in one of them.
const (
	Unprobed Form = ""
	Bare     Form = "bare"
	Prefixed Form = "prefixed"
)

// Reader reads counters from one Redis deployment.
type Reader struct{}

// New makes a reader; it connects at the first reading.
func New(o Options) (*Reader, error) { panic("not yet") }

// Read reads the counters of the given names (without namespace) and returns one reading for each, in their
// order. With an error (an *Error) the readings of the nodes that failed are CounterUnread, the others hold.
func (r *Reader) Read(ctx context.Context, names []string) ([]budget.Counter, error) {
	panic("not yet")
}

// BufferLengths reads how many elements LiteLLM's Redis transaction buffers hold, by list name without
// namespace. Lists that are empty or absent are 0.
func (r *Reader) BufferLengths(ctx context.Context) (map[string]int64, error) { panic("not yet") }

// Form is the form of the names in use.
func (r *Reader) Form() Form { panic("not yet") }

// Close ends the connections.
func (r *Reader) Close() error { panic("not yet") }
