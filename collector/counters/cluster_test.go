package counters_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"litellm_budget_exporter/collector/budget"
	"litellm_budget_exporter/collector/counters"
	"litellm_budget_exporter/collector/counters/redistest"
)

func inCluster(nodes ...*redistest.Server) func(*counters.Options) {
	return func(o *counters.Options) {
		o.Mode, o.Addresses = counters.Cluster, nil
		for _, n := range nodes {
			o.Addresses = append(o.Addresses, n.Addr)
		}
		asReader(o)
	}
}

// spread stores counters over all slots, the i-th with the value i, and returns their names and which node
// holds which.
func spread(t *testing.T, nodes []*redistest.Server, n int) (names []string, holder []int) {
	t.Helper()
	for i := range n {
		name := fmt.Sprintf("spend:key:%d", i)
		slot, ok := nodes[0].Do(t, "CLUSTER", "KEYSLOT", name).(int64)
		if !ok {
			t.Fatalf("%s has no slot", name)
		}
		holds := int(slot*3+2) / 16384
		nodes[holds].Do(t, "SET", name, i, "EX", 600)
		names, holder = append(names, name), append(holder, holds)
	}
	return names, holder
}

func TestClusterIsReadWholeByTheLeastPrivilegedUser(t *testing.T) {
	t.Parallel() // it waits for timers of Redis most of its time
	nodes := redistest.Cluster(t, clusterReader)
	names, _ := spread(t, nodes, 60)
	r := open(t, "", inCluster(nodes[1])) // one address is enough to find the others
	for i, got := range read(t, r, names...) {
		if got.State != budget.CounterPresent || got.Value != float64(i) {
			t.Errorf("%s: %+v, want %d", names[i], got, i)
		}
	}
	lengths, err := r.BufferLengths(t.Context())
	if err != nil || len(lengths) != 13 {
		t.Errorf("lengths %v, error %v", lengths, err)
	}
	for _, n := range nodes {
		if denied := fmt.Sprint(n.Do(t, "ACL", "LOG")); denied != "[]" {
			t.Errorf("%s denied: %v", n.Addr, denied)
		}
	}
}

func TestClusterWithANodeDown(t *testing.T) {
	t.Parallel() // it waits for timers of Redis most of its time
	nodes := redistest.Cluster(t, clusterReader, "cluster-require-full-coverage no")
	names, holder := spread(t, nodes, 60)
	r := open(t, "", inCluster(nodes...))
	read(t, r, names...)
	nodes[2].Kill()

	readings, err := r.Read(t.Context(), names)
	if wantReason(t, err, counters.Connection); !strings.HasPrefix(err.Error(), "redis at "+nodes[2].Addr+": ") {
		t.Errorf("the error is %v, want one of %s", err, nodes[2].Addr)
	}
	for i, got := range readings {
		want := budget.Counter{State: budget.CounterPresent, Value: float64(i)}
		if holder[i] == 2 {
			want = budget.Counter{}
		}
		if got.State != want.State || got.Value != want.Value {
			t.Errorf("%s of node %d: %+v, want state %d", names[i], holder[i], got, want.State)
		}
	}
}

func TestClusterThatIsDown(t *testing.T) {
	t.Parallel() // it waits for timers of Redis most of its time
	nodes := redistest.Cluster(t, clusterReader)
	names, _ := spread(t, nodes, 60)
	r := open(t, "", inCluster(nodes...))
	read(t, r, names...)
	nodes[2].Kill()
	for _, n := range nodes[:2] { // without full coverage they stop serving, once they notice
		n.Do(t, "CONFIG", "SET", "cluster-node-timeout", 1000)
	}
	for _, n := range nodes[:2] {
		for deadline := time.Now().Add(time.Minute); !strings.Contains(fmt.Sprint(n.Do(t, "CLUSTER", "INFO")), "cluster_state:fail"); {
			if time.Now().After(deadline) {
				t.Fatal("the cluster goes on serving without a third of its slots")
			}
			time.Sleep(20 * time.Millisecond)
		}
	}
	readings, err := r.Read(t.Context(), names)
	var e *counters.Error
	// The dead node gives the one, those that no longer serve the other; either is the truth.
	if !errors.As(err, &e) || (e.Reason != counters.Unavailable && e.Reason != counters.Connection) {
		t.Errorf("error is %v", err)
	}
	for i, got := range readings {
		if got.State != budget.CounterUnread {
			t.Errorf("%s: %+v, want unread", names[i], got)
		}
	}
}

func TestClusterFollowsSlotsThatMove(t *testing.T) {
	t.Parallel() // it waits for timers of Redis most of its time
	nodes := redistest.Cluster(t, clusterReader)
	names, holder := spread(t, nodes, 1)
	r := open(t, "", inCluster(nodes...))
	read(t, r, names...)

	slot := nodes[0].Do(t, "CLUSTER", "KEYSLOT", names[0])
	from, to := nodes[holder[0]], nodes[(holder[0]+1)%3]
	fromID, toID := from.Do(t, "CLUSTER", "MYID"), to.Do(t, "CLUSTER", "MYID")
	to.Do(t, "CLUSTER", "SETSLOT", slot, "IMPORTING", fromID)
	from.Do(t, "CLUSTER", "SETSLOT", slot, "MIGRATING", toID)
	host, port, _ := strings.Cut(to.Addr, ":")
	from.Do(t, "MIGRATE", host, port, names[0], 0, 5000)
	if got := read(t, r, names...)[0]; got.State != budget.CounterPresent {
		t.Errorf("while its slot moves: %+v", got)
	}
	to.Do(t, "CLUSTER", "SETSLOT", slot, "NODE", toID)
	from.Do(t, "CLUSTER", "SETSLOT", slot, "NODE", toID)
	if got := read(t, r, names...)[0]; got.State != budget.CounterPresent {
		t.Errorf("after its slot moved: %+v", got)
	}
}

func TestClusterFaults(t *testing.T) {
	t.Parallel() // it waits for timers of Redis most of its time
	lone := redistest.Standalone(t)
	_, err := open(t, "", func(o *counters.Options) {
		o.Mode, o.Addresses = counters.Cluster, []string{lone.Addr}
	}).Read(t.Context(), []string{"a"})
	if wantReason(t, err, counters.Other); !strings.Contains(err.Error(), "cluster support disabled") {
		t.Errorf("a Redis that is no cluster gives %v", err)
	}
	_, err = open(t, "", func(o *counters.Options) {
		o.Mode, o.Addresses = counters.Cluster, []string{"127.0.0.1:1", "127.0.0.1:2"}
	}).Read(t.Context(), []string{"a"})
	wantReason(t, err, counters.Connection)
}
