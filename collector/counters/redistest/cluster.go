package redistest

import (
	"fmt"
	"strings"
	"testing"
)

// slots is how many hash slots a Redis Cluster has.
const slots = 16384

// Cluster starts three masters that share the slots evenly, and waits until each of them serves. The configuration
// lines are for every node ("cluster-require-full-coverage no").
func Cluster(t testing.TB, config ...string) []*Server {
	t.Helper()
	nodes := make([]*Server, 3)
	for i := range nodes {
		nodes[i] = &Server{}
		// The default port of the bus, 10000 higher, may be no port at all.
		nodes[i].bus = freePort(t)
		nodes[i].run(t, append([]string{
			"cluster-enabled yes",
			"cluster-node-timeout 1000",
			fmt.Sprintf("cluster-port %d", nodes[i].bus),
		}, config...))
	}
	for i, n := range nodes {
		n.Do(t, "CLUSTER", "ADDSLOTSRANGE", i*slots/3, (i+1)*slots/3-1)
		n.Do(t, "CLUSTER", "SET-CONFIG-EPOCH", i+1)
	}
	for _, other := range nodes[1:] {
		nodes[0].Do(t, "CLUSTER", "MEET", "127.0.0.1", other.port(t), other.bus)
	}
	for _, n := range nodes {
		waitFor(t, "the cluster to serve all slots", func() bool {
			info, err := n.try("CLUSTER", "INFO")
			text := fmt.Sprint(info)
			return err == nil && strings.Contains(text, "cluster_state:ok") && strings.Contains(text, "cluster_size:3")
		})
	}
	return nodes
}
