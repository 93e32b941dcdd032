package counters

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"

	"github.com/redis/go-redis/v9"
)

// sentinels is a Redis whose master the Sentinels name. They are asked before every reading: so a failover is
// seen by the next one, and the user at the Sentinels needs no subscription, only that one command. (The
// client library's own failover client takes the Sentinels' password once and for all.)
type sentinels struct {
	options Options
	clients []*redis.SentinelClient // in the order of options.Addresses

	mu     sync.Mutex
	master *redis.Client // nil until the first reading
}

func newSentinels(o Options) *sentinels {
	s := &sentinels{options: o}
	for _, address := range o.Addresses {
		at := clientOptions(o, address)
		at.DB = 0 // a Sentinel has none
		at.CredentialsProviderContext = credentials(o.SentinelUsername, o.SentinelPassword)
		s.clients = append(s.clients, redis.NewSentinelClient(at))
	}
	return s
}

func (s *sentinels) nodes(ctx context.Context, keys []string) ([]node, error) {
	address, err := s.masterAddress(ctx)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.master != nil && s.master.Options().Addr != address {
		_ = s.master.Close() // a reading from the old master that is under way fails, as it should
		s.master = nil
	}
	if s.master == nil {
		s.master = redis.NewClient(clientOptions(s.options, address))
	}
	return []node{{address, s.master, indices(keys)}}, nil
}

// errNoMaster is a Sentinel's answer that it watches no master of that name.
var errNoMaster = errors.New("no such master")

// masterAddress asks all Sentinels at once, so that one that hangs costs nothing, and takes the first answer.
func (s *sentinels) masterAddress(ctx context.Context) (string, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	type answer struct {
		master []string
		err    error
	}
	answers := make(chan answer, len(s.clients))
	for _, client := range s.clients {
		go func() {
			master, err := client.GetMasterAddrByName(ctx, s.options.MasterName).Result()
			answers <- answer{master, err}
		}()
	}
	var failure error
	for range s.clients {
		var a answer
		select {
		case a = <-answers:
		case <-ctx.Done():
			a.err = ctx.Err()
		}
		switch {
		case a.err == nil:
			return net.JoinHostPort(a.master[0], a.master[1]), nil
		case errors.Is(a.err, redis.Nil):
			failure = fmt.Errorf("%w as %q at the Sentinels; check redis.master_name", errNoMaster, s.options.MasterName)
		case failure == nil:
			failure = a.err
		}
	}
	return "", newError("Sentinels "+strings.Join(s.options.Addresses, ", "), failure)
}

func (s *sentinels) close() error {
	var errs []error
	for _, client := range s.clients {
		errs = append(errs, client.Close())
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.master != nil {
		errs = append(errs, s.master.Close())
	}
	return errors.Join(errs...)
}
