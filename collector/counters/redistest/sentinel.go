package redistest

import (
	"fmt"
	"net"
	"slices"
	"testing"
)

// SentinelDeployment is a master with one replica, watched by three Sentinels.
type SentinelDeployment struct {
	MasterName string
	Sentinels  []*Server
	Master     *Server
	Replica    *Server
}

// Sentinel starts a deployment and waits until the Sentinels know each other and the replica, so that a failover
// can happen. The configuration lines are for the Sentinels only ("requirepass secret", "user …").
func Sentinel(tb testing.TB, config ...string) *SentinelDeployment {
	tb.Helper()
	d := &SentinelDeployment{MasterName: "litellm", Master: Standalone(tb)}
	host, port, err := net.SplitHostPort(d.Master.Addr)
	if err != nil {
		tb.Fatalf("redistest: %v", err)
	}
	d.Replica = Standalone(tb, fmt.Sprintf("replicaof %s %s", host, port))
	waitFor(tb, "the replica to be in sync", func() bool {
		role, err := d.Replica.try("ROLE")
		fields, ok := role.([]any)
		return err == nil && ok && len(fields) > 3 && fields[3] == "connected"
	})
	for range 3 {
		s := &Server{}
		retry(tb, func() (err error) {
			port := freePort(tb)
			s.Addr = loopback(port)
			s.process, err = launch(tb, "redis-sentinel", writeConfig(tb, append([]string{
				"bind 127.0.0.1",
				fmt.Sprintf("port %d", port),
				fmt.Sprintf("sentinel monitor %s %s %s 2", d.MasterName, host, d.Master.port(tb)),
				fmt.Sprintf("sentinel down-after-milliseconds %s 60000", d.MasterName), // so that a busy machine is no failure
				fmt.Sprintf("sentinel failover-timeout %s 3000", d.MasterName),
			}, config...)), "+monitor master")
			return err
		})
		s.password = password(config)
		d.Sentinels = append(d.Sentinels, s)
	}
	for _, s := range d.Sentinels {
		waitFor(tb, "the Sentinels to know each other and the replica", func() bool {
			master := s.flat("SENTINEL", "MASTER", d.MasterName)
			return master["num-other-sentinels"] == "2" && master["num-slaves"] == "1"
		})
	}
	return d
}

// Addrs are the addresses of the Sentinels.
func (d *SentinelDeployment) Addrs() []string {
	var addrs []string
	for _, s := range d.Sentinels {
		addrs = append(addrs, s.Addr)
	}
	return addrs
}

// Failover kills the master and waits until every Sentinel names the former replica, which then is a master.
func (d *SentinelDeployment) Failover(tb testing.TB) {
	tb.Helper()
	d.Master.Kill()
	for _, s := range d.Sentinels {
		s.Do(tb, "SENTINEL", "SET", d.MasterName, "down-after-milliseconds", 500)
	}
	for _, s := range d.Sentinels {
		waitFor(tb, "the Sentinels to name the new master", func() bool {
			answer, err := s.try("SENTINEL", "GET-MASTER-ADDR-BY-NAME", d.MasterName)
			named, ok := answer.([]any)
			return err == nil && ok && slices.Contains(named, any(d.Replica.port(tb)))
		})
	}
	waitFor(tb, "the replica to be the master", func() bool {
		role, err := d.Replica.try("ROLE")
		fields, ok := role.([]any)
		return err == nil && ok && fields[0] == "master"
	})
}
