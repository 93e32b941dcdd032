package counters_test

import (
	"fmt"
	"testing"
	"time"

	"litellm_budget_exporter/collector/budget"
	"litellm_budget_exporter/collector/counters"
	"litellm_budget_exporter/collector/counters/redistest"
)

func bySentinels(d *redistest.SentinelDeployment) func(*counters.Options) {
	return func(o *counters.Options) {
		o.Mode, o.Addresses, o.MasterName = counters.Sentinel, d.Addrs(), d.MasterName
		o.SentinelUsername, o.SentinelPassword = "budget_exporter", password("pw")
		asReader(o)
	}
}

func TestSentinelFailover(t *testing.T) {
	t.Parallel() // it waits for timers of Redis most of its time
	d := redistest.Sentinel(t, sentinelReader)
	for _, s := range []*redistest.Server{d.Master, d.Replica} {
		s.Do(t, "ACL", "SETUSER", "budget_exporter", "on", ">pw", "~spend:*", "~litellm_*_buffer*", "-@all", "+get", "+pttl", "+llen")
	}
	d.Master.Do(t, "SET", "spend:key:a", "1.5")
	d.Master.Do(t, "WAIT", 1, 5000)
	r := open(t, "", bySentinels(d))
	if got := read(t, r, "spend:key:a")[0]; got.Value != 1.5 {
		t.Fatalf("from the first master: %+v", got)
	}
	d.Failover(t)
	d.Replica.Do(t, "SET", "spend:key:a", "2.5")
	if got := read(t, r, "spend:key:a")[0]; got.Value != 2.5 {
		t.Errorf("after the failover: %+v, want the new master's 2.5", got)
	}
	if _, err := r.BufferLengths(t.Context()); err != nil {
		t.Error(err)
	}
	d.Sentinels[0].Kill()
	d.Sentinels[2].Kill()
	read(t, r, "spend:key:a")
	if denied := fmt.Sprint(d.Sentinels[1].Do(t, "ACL", "LOG")); denied != "[]" {
		t.Errorf("the Sentinel denied: %v", denied)
	}
}

func TestSentinelFaults(t *testing.T) {
	t.Parallel() // it waits for timers of Redis most of its time
	d := redistest.Sentinel(t, sentinelReader)
	tests := []struct {
		name   string
		set    func(*counters.Options)
		reason counters.Reason
	}{
		{"another master", func(o *counters.Options) { o.MasterName = "other" }, counters.Unavailable},
		{"wrong password", func(o *counters.Options) { o.SentinelPassword = password("no") }, counters.NoAuth},
		{"no Sentinel there", func(o *counters.Options) { o.Addresses = []string{"127.0.0.1:1"} }, counters.Connection},
		{"one Sentinel is enough", func(o *counters.Options) { o.Addresses = []string{"127.0.0.1:1", d.Addrs()[0]} }, ""},
		{"Redis instead of a Sentinel", func(o *counters.Options) {
			o.Addresses, o.SentinelUsername, o.SentinelPassword = []string{d.Master.Addr}, "", nil
		}, counters.Other},
		{"a Sentinel that hangs", func(o *counters.Options) {
			hanging := fakeRedis(t, func([]string) string { return "" })
			o.Addresses, o.Timeout = []string{hanging}, 200*time.Millisecond
		}, counters.Timeout},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := open(t, "", func(o *counters.Options) {
				bySentinels(d)(o)
				o.Username, o.Password = "", nil
				tt.set(o)
			})
			readings, err := r.Read(t.Context(), []string{"spend:key:a"})
			if tt.reason == "" {
				if err != nil || readings[0].State != budget.CounterAbsent {
					t.Errorf("read %+v, error %v", readings[0], err)
				}
				return
			}
			wantReason(t, err, tt.reason)
			if readings[0].State != budget.CounterUnread {
				t.Errorf("read %+v, want unread", readings[0])
			}
		})
	}
}
