package counters

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// deployment is one or more Redis servers that hold the counters together.
type deployment interface {
	// nodes says which server holds which keys. Its error is an *Error.
	nodes(ctx context.Context, keys []string) ([]node, error)
	close() error
}

// node is one server and the keys that it holds.
type node struct {
	address string
	client  interface{ Pipeline() redis.Pipeliner }
	keys    []int // indices of the keys in question
}

func newDeployment(o Options) (deployment, error) {
	if len(o.Addresses) == 0 {
		return nil, errors.New("there is no address")
	}
	if o.Username != "" && o.Password == nil {
		return nil, fmt.Errorf("there is a username (%s) but no password", o.Username)
	}
	if o.Mode != Sentinel && (o.MasterName != "" || o.SentinelUsername != "" || o.SentinelPassword != nil) {
		return nil, fmt.Errorf("master_name and the Sentinels' credentials belong to mode %s, not %s", Sentinel, o.Mode)
	}
	logging.Disable() // go-redis writes to stderr what its errors say anyway
	switch o.Mode {
	case Standalone:
		if len(o.Addresses) > 1 {
			return nil, fmt.Errorf("mode %s takes one address, not %d", o.Mode, len(o.Addresses))
		}
		return &standalone{redis.NewClient(clientOptions(o, o.Addresses[0]))}, nil
	case Sentinel:
		if o.MasterName == "" {
			return nil, fmt.Errorf("mode %s needs a master_name", o.Mode)
		}
		return newSentinels(o), nil
	case Cluster:
		if o.DB != 0 {
			return nil, fmt.Errorf("mode %s has database 0 only, not %d", o.Mode, o.DB)
		}
		return newCluster(o), nil
	}
	return nil, fmt.Errorf("there is no mode %q; take %s, %s or %s", o.Mode, Standalone, Sentinel, Cluster)
}

// What holds for every connection. A reading uses one connection to a node at a time; the loops of the poller
// and the confirmations read side by side.
const (
	poolSize   = 4
	maxRetries = 1 // for a connection that had died unnoticed
)

// clientOptions set up the client of one server. Nothing but HELLO, AUTH and, with a database, SELECT is sent on
// connecting: no CLIENT SETINFO and no CLIENT MAINT_NOTIFICATIONS, which the user would need a grant for.
func clientOptions(o Options, address string) *redis.Options {
	return &redis.Options{
		Addr:                       address,
		DB:                         o.DB,
		CredentialsProviderContext: credentials(o.Username, o.Password),
		Dialer:                     dialer(o.TLS, o.Timeout),
		DialTimeout:                o.Timeout,
		ReadTimeout:                o.Timeout,
		WriteTimeout:               o.Timeout,
		ContextTimeoutEnabled:      true,
		DialerRetries:              1,
		MaxRetries:                 maxRetries,
		PoolSize:                   poolSize,
		PipelinePoolSize:           -1, // pipelines are all there is: no second pool for them
		Protocol:                   2,
		DisableIdentity:            true,
		MaintNotificationsConfig:   &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	}
}

// credentials asks for the password at each new connection.
func credentials(username string, password func() (string, error)) func(context.Context) (string, string, error) {
	if password == nil {
		return nil
	}
	return func(context.Context) (string, string, error) {
		secret, err := password()
		if err != nil {
			return "", "", &passwordError{err}
		}
		return username, secret, nil
	}
}

// passwordError is a password that could not be read, before anything was sent.
type passwordError struct{ err error }

func (e *passwordError) Error() string { return fmt.Sprintf("the password cannot be read: %v", e.err) }
func (e *passwordError) Unwrap() error { return e.err }

// handshakeError is a TLS handshake that failed after the connection stood.
type handshakeError struct{ err error }

func (e *handshakeError) Error() string { return e.err.Error() }
func (e *handshakeError) Unwrap() error { return e.err }

// dialer connects, telling failures of TLS from failures to connect.
func dialer(config *tls.Config, timeout time.Duration) func(context.Context, string, string) (net.Conn, error) {
	plain := &net.Dialer{Timeout: timeout}
	if config == nil {
		return plain.DialContext
	}
	secure := &tls.Dialer{NetDialer: plain, Config: config}
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := secure.DialContext(ctx, network, address)
		var op *net.OpError
		if err != nil && (!errors.As(err, &op) || op.Op != "dial") {
			return nil, &handshakeError{err}
		}
		return conn, err
	}
}

// standalone is a single address, read whatever its role.
type standalone struct{ client *redis.Client }

func (s *standalone) nodes(_ context.Context, keys []string) ([]node, error) {
	return []node{{s.client.Options().Addr, s.client, indices(keys)}}, nil
}

func (s *standalone) close() error { return s.client.Close() }

// cluster is a Redis Cluster, of which masters are read.
type cluster struct {
	client *redis.ClusterClient
	seeds  string // for messages
}

// slotsKnownFor is how old the client's knowledge of who holds which slot may become; a promoted replica is read
// after that time at the latest. Slots that moved are followed at once.
const slotsKnownFor = 5 * time.Second

func newCluster(o Options) *cluster {
	one := clientOptions(o, "")
	return &cluster{
		seeds: strings.Join(o.Addresses, ", "),
		client: redis.NewClusterClient(&redis.ClusterOptions{
			Addrs:                      o.Addresses,
			CredentialsProviderContext: one.CredentialsProviderContext,
			Dialer:                     one.Dialer,
			DialTimeout:                one.DialTimeout,
			ReadTimeout:                one.ReadTimeout,
			WriteTimeout:               one.WriteTimeout,
			ContextTimeoutEnabled:      one.ContextTimeoutEnabled,
			DialerRetries:              one.DialerRetries,
			PoolSize:                   one.PoolSize,
			PipelinePoolSize:           one.PipelinePoolSize,
			Protocol:                   one.Protocol,
			DisableIdentity:            one.DisableIdentity,
			MaintNotificationsConfig:   one.MaintNotificationsConfig,
			ClusterStateReloadInterval: slotsKnownFor,
		}),
	}
}

// nodes groups the keys by master, so that the failure of one does not keep the others from being read. The
// keys are then asked for through the cluster's client, which follows slots that move meanwhile.
func (c *cluster) nodes(ctx context.Context, keys []string) ([]node, error) {
	byMaster := map[*redis.Client]*node{}
	for i, key := range keys {
		master, err := c.client.MasterForKey(ctx, key)
		if err != nil {
			return nil, newError(c.seeds, err)
		}
		if byMaster[master] == nil {
			byMaster[master] = &node{address: master.Options().Addr, client: c.client}
		}
		byMaster[master].keys = append(byMaster[master].keys, i)
	}
	nodes := make([]node, 0, len(byMaster))
	for _, n := range byMaster {
		nodes = append(nodes, *n)
	}
	slices.SortFunc(nodes, func(a, b node) int { return strings.Compare(a.address, b.address) })
	return nodes, nil
}

func (c *cluster) close() error { return c.client.Close() }

func indices(keys []string) []int {
	all := make([]int, len(keys))
	for i := range all {
		all[i] = i
	}
	return all
}
