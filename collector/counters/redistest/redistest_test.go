package redistest_test

import (
	"errors"
	"fmt"
	"strconv"
	"testing"

	"github.com/redis/go-redis/v9"

	"litellm_budget_exporter/collector/counters/redistest"
)

func TestStandaloneServesWhatItsConfigurationSays(t *testing.T) {
	s := redistest.Standalone(t, "requirepass secret", "databases 3")
	s.Do(t, "SET", "spend:key:a", "1.5")
	if got := s.Do(t, "GET", "spend:key:a"); got != "1.5" {
		t.Errorf("GET gives %v, want 1.5", got)
	}
	if got := fmt.Sprint(s.Do(t, "CONFIG", "GET", "databases")); got != "map[databases:3]" {
		t.Errorf("the configuration is %s, want 3 databases", got)
	}
}

func TestServersDoNotShareState(t *testing.T) {
	one, two := redistest.Standalone(t), redistest.Standalone(t)
	one.Do(t, "SET", "a", "1")
	if got := two.Do(t, "GET", "a"); got != nil {
		t.Errorf("the second server holds %v of the first one", got)
	}
}

func TestStandaloneTLSSpeaksTLSOnly(t *testing.T) {
	s := redistest.StandaloneTLS(t)
	s.Do(t, "PING")
	plain := redis.NewClient(&redis.Options{Addr: s.Addr, MaxRetries: -1})
	defer func() { _ = plain.Close() }()
	if err := plain.Ping(t.Context()).Err(); err == nil {
		t.Error("the server answers without TLS")
	}
}

func TestSentinelFailsOver(t *testing.T) {
	t.Parallel() // it waits for timers of Redis most of its time
	d := redistest.Sentinel(t)
	d.Master.Do(t, "SET", "spend:key:a", "1.5")
	d.Master.Do(t, "WAIT", 1, 5000)
	d.Failover(t)
	if got := d.Replica.Do(t, "GET", "spend:key:a"); got != "1.5" {
		t.Errorf("the new master holds %v, want 1.5", got)
	}
}

func TestClusterSharesTheSlots(t *testing.T) {
	t.Parallel() // it waits for timers of Redis most of its time
	held := 0
	for _, node := range redistest.Cluster(t) {
		client := node.Client(t)
		for i := range 300 {
			err := client.Get(t.Context(), "spend:key:"+strconv.Itoa(i)).Err()
			if errors.Is(err, redis.Nil) {
				held++
			}
		}
	}
	if held != 300 {
		t.Errorf("of 300 keys %d are served by a node of the cluster, want each by one", held)
	}
}
