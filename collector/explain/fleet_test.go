package explain

import (
	"strings"
	"testing"

	"litellm_budget_exporter/collector/budget"
)

// TestFleetCausesGoWithTheRelease names what to look at as the release in use calls it.
func TestFleetCausesGoWithTheRelease(t *testing.T) {
	for name, c := range map[string]struct {
		release, namespace string
		cause              budget.FleetCause
		want, never        string
	}{
		"a bare list":            {"1.90.7", "prod", budget.FlushStalled, "LLEN litellm_spend_update_buffer", "prod:litellm"},
		"whose lock is prefixed": {"1.90.7", "prod", budget.FlushStalled, "GET prod:cronjob_lock:db_spend_update_job", "GET cronjob"},
		"a prefixed list":        {"1.91.0", "prod", budget.FlushStalled, "LLEN prod:litellm_spend_update_buffer", "LLEN litellm"},
		"left out by its text":   {"1.97.0", "lite", budget.FlushStalled, "LLEN litellm_spend_update_buffer", "lite:litellm"},
		"undetected":             {"", "prod", budget.FlushStalled, "LLEN prod:litellm_spend_update_buffer", "LLEN litellm"},
		"no namespace":           {"1.109.1", "", budget.FlushStalled, "GET cronjob_lock:db_spend_update_job", "prod:"},
		"settings of 1.88":       {"1.88.0", "", budget.NoSharedCounters, "cache_params.type: redis. Every cap", "coordination_redis"},
		"where 1.88 counts":      {"1.88.0", "", budget.NoSharedCounters, "/health/readiness/details", "/coordination_redis"},
		"settings of 1.97":       {"1.97.0", "", budget.NoSharedCounters, "general_settings.coordination_redis", "REDIS_*"},
		"settings of 1.109":      {"1.109.1", "", budget.NoSharedCounters, "REDIS_* in the environment", "/health/readiness"},
		"none to be found":       {"1.82.6", "", budget.NoSharedCounters, "this release keeps none", "router_settings"},
	} {
		s := snapshot(c.release)
		s.FleetCauses[c.cause] = true
		d := Deployment{LiteLLMURL: "http://l", Redis: &Redis{Mode: "standalone", Addresses: []string{"r:6379"}, Namespace: c.namespace}}
		x := Explain(Input{Snapshot: s, Deployment: d, Asked: Entity{Entity: entity(budget.Key, hash, "", capOf(10), 3, 3)}})
		if len(x.Fleet) != 1 || x.Fleet[0].Name != c.cause || x.Fleet[0].Confidence < 0.9 {
			t.Fatalf("%s: %+v", name, x.Fleet)
		}
		f := x.Fleet[0]
		told := f.Text + strings.Join(f.Look, "\n")
		for _, r := range f.Remedies {
			told += r.Changes + strings.Join(r.SideEffects, " ")
		}
		if !strings.Contains(told, c.want) || strings.Contains(told, c.never) {
			t.Errorf("%s: %s", name, told)
		}
	}
}

// TestCountersElsewhereTellNothing shows no enforced spend where LiteLLM does not count in the Redis that is read.
func TestCountersElsewhereTellNothing(t *testing.T) {
	b := Explain(stories["no-shared-counters"]()).Budgets[0]
	if b.Enforced != nil || b.Divergence != nil || b.EnforcedText() != "unknown" || b.DivergenceText() != "unknown" {
		t.Errorf("enforced %s, divergence %s", b.EnforcedText(), b.DivergenceText())
	}
}
