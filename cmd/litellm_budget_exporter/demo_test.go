package main

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"litellm_budget_exporter/examples/simulator"
)

// TestDemo holds the demo to what it says on its first screen, within a minute of its start.
func TestDemo(t *testing.T) {
	started := time.Now()
	e := start(t, map[string]string{"LITELLM_URL": "http://127.0.0.1:1", "REDIS_URL": "redis://127.0.0.1:1"}, "demo")

	key := func(metric, alias string) string {
		return fmt.Sprintf("litellm_budget_key_%s{hashed_api_key=%q}", metric, simulator.DemoKey(alias))
	}
	team := func(metric, id string) string { return fmt.Sprintf("litellm_budget_team_%s{team=%q}", metric, id) }
	want := []string{
		key("spend_reported_usd", simulator.FalselyLockedAlias) + " 3.536",
		key("spend_enforced_usd", simulator.FalselyLockedAlias) + " 10.607",
		key("redis_spend_usd", simulator.FalselyLockedAlias) + " 10.607",
		key("max_budget_usd", simulator.FalselyLockedAlias) + " 10",
		key("falsely_locked", simulator.FalselyLockedAlias) + " 1",
		team("bypassed", simulator.BypassedTeamID) + " 1",
		`litellm_budget_falsely_locked_entities{scope="key"} 1`,
		`litellm_budget_falsely_locked_entities{scope="team"} 0`,
		`litellm_budget_bypassed_entities{scope="key"} 0`,
		`litellm_budget_bypassed_entities{scope="team"} 1`,
		key("spend_reported_usd", simulator.ColdAlias) + " 4.2",
		key("spend_enforced_usd", simulator.ColdAlias) + " 4.2",
		`litellm_budget_litellm_info{version="1.84.0"} 1`,
		`litellm_budget_source_up{source="litellm"} 1`,
		`litellm_budget_source_up{source="redis"} 1`,
	}
	var metrics string
	within(t, time.Until(started.Add(time.Minute)), func() error {
		metrics = e.get(t, "/metrics")
		for _, line := range want {
			if !strings.Contains(metrics, "\n"+line+"\n") {
				return fmt.Errorf("there is no %s; log:\n%s\nmetrics:\n%s", line, e.stderr, metrics)
			}
		}
		return nil
	})
	t.Logf("all of it was there after %s", time.Since(started).Round(time.Second))
	for _, absent := range []string{
		key("redis_spend_usd", simulator.ColdAlias),
		key("redis_ttl_seconds", simulator.ColdAlias),
		key("max_budget_usd", simulator.NoBudgetAlias),
		key("falsely_locked", simulator.NoBudgetAlias),
	} {
		if strings.Contains(metrics, "\n"+absent) {
			t.Errorf("there is %s", absent)
		}
	}
	if busy := key("spend_reported_usd", simulator.NoBudgetAlias); !strings.Contains(metrics, "\n"+busy) {
		t.Errorf("there is no %s", busy)
	}

	page := e.get(t, "/")
	for _, text := range []string{"falsely locked", simulator.FalselyLockedAlias, ">3.536<", ">10.607<", ">10.00<", "bypassed", simulator.BypassedTeamAlias} {
		if !strings.Contains(page, text) {
			t.Errorf("the page does not say %q:\n%s", text, page)
		}
	}
	for _, text := range []string{"/metrics", "/explain?id=" + simulator.FalselyLockedAlias, "LITELLM_API_KEY=" + simulator.DemoViewer, name + " check", simulator.FalselyLockedAlias, simulator.DemoKey(simulator.FalselyLockedAlias)[:12], simulator.BypassedTeamID} {
		if !strings.Contains(e.stdout.String(), text) {
			t.Errorf("the first screen does not say %q:\n%s", text, e.stdout)
		}
	}
	if explained := e.get(t, "/explain?id="+simulator.FalselyLockedAlias); !strings.Contains(explained, "reseed_multiple") {
		t.Errorf("why it is locked is not told:\n%s", explained)
	}
	if code := e.stop(t); code != 0 {
		t.Errorf("exit code %d, want 0; log:\n%s", code, e.stderr)
	}
}

// TestDemoListensOnLoopback keeps the demo to this machine unless told otherwise. The port may be taken, which
// changes nothing about the address it tries.
func TestDemoListensOnLoopback(t *testing.T) {
	var stdout, stderr log
	done := make(chan struct{})
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		defer close(done)
		run(ctx, []string{"demo"}, lookup(nil), strings.NewReader(""), &stdout, &stderr)
	}()
	eventually(t, func() error {
		if !strings.Contains(stderr.String(), "127.0.0.1:10047") {
			return fmt.Errorf("no word of 127.0.0.1:10047 in:\n%s", &stderr)
		}
		return nil
	})
	cancel()
	<-done
}
