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
func Cluster(tb testing.TB, config ...string) []*Server {
	tb.Helper()
	nodes := make([]*Server, 3)
	for i := range nodes {
		nodes[i] = &Server{clustered: true}
		nodes[i].run(tb, append([]string{"cluster-node-timeout 60000"}, config...)) // so that a busy machine is no failure
	}
	for i, n := range nodes {
		n.Do(tb, "CLUSTER", "ADDSLOTSRANGE", i*slots/3, (i+1)*slots/3-1)
		n.Do(tb, "CLUSTER", "SET-CONFIG-EPOCH", i+1)
	}
	for i, n := range nodes {
		for _, other := range nodes[i+1:] {
			n.Do(tb, "CLUSTER", "MEET", "127.0.0.1", other.port(tb), other.bus)
		}
	}
	for _, n := range nodes {
		waitFor(tb, "the cluster to serve all slots", func() bool {
			info, err := n.try("CLUSTER", "INFO")
			text := fmt.Sprint(info)
			return err == nil && strings.Contains(text, "cluster_state:ok") && strings.Contains(text, "cluster_size:3")
		})
	}
	return nodes
}
