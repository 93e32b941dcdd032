package explain

import (
	"slices"
	"strings"
	"testing"

	"litellm_budget_exporter/collector/budget"
)

// TestClusterAndBareNames has commands go to the right server for the right name.
func TestClusterAndBareNames(t *testing.T) {
	e := accused(entity(budget.Team, "a b", "", capOf(10), 3, 12), budget.FalselyLocked, budget.DoubleApply, 0.6)
	d := Deployment{LiteLLMURL: "http://l", Redis: &Redis{Mode: "cluster", Addresses: []string{"node-1:7000", "node-2:7000"}, Namespace: "spend"}}
	s := snapshot("1.90.0")
	s.CounterNames = "bare" // LiteLLM leaves out a namespace that the name begins with
	x := Explain(Input{Snapshot: s, Deployment: d, Asked: Entity{Entity: e}})
	want := []string{
		"curl 'http://l/v2/team/list?team_id=a+b' -H \"Authorization: Bearer $LITELLM_MASTER_KEY\"",
		"redis-cli -h node-1 -p 7000 -c GET 'spend:team:a b'",
		"redis-cli -h node-1 -p 7000 -c PTTL 'spend:team:a b'",
	}
	if !slices.Equal(x.Budgets[0].Look, want) {
		t.Errorf("%q, want %q", x.Budgets[0].Look, want)
	}
}

// TestCredentialsStayOffTheCommandLine says how a password is given, once, and reaches Sentinels as the exporter does.
func TestCredentialsStayOffTheCommandLine(t *testing.T) {
	d := Deployment{LiteLLMURL: "http://l", Redis: &Redis{Mode: "sentinel", Addresses: []string{"s:26379"}, MasterName: "main", TLS: true}}
	x := Explain(Input{Snapshot: snapshot("1.90.0"), Deployment: d, Asked: Entity{Entity: locked()}})
	for _, want := range []string{"REDISCLI_AUTH", "--user NAME", "--cacert FILE", "NOAUTH"} {
		if strings.Count(x.Credentials, want) == 0 {
			t.Errorf("nothing of %s: %s", want, x.Credentials)
		}
	}
	const want = "redis-cli $(redis-cli -h s -p 26379 --tls SENTINEL get-master-addr-by-name main | xargs printf -- '-h %s -p %s') --tls GET"
	if got := x.Budgets[0].Look[1]; !strings.HasPrefix(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	d.Redis = nil
	if got := Explain(Input{Snapshot: snapshot("1.90.0"), Deployment: d, Asked: Entity{Entity: locked()}}).Credentials; strings.Contains(got, "REDISCLI_AUTH") {
		t.Errorf("without a Redis: %s", got)
	}
}
