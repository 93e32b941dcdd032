package checks

import (
	"path/filepath"
	"testing"

	"github.com/VictoriaMetrics/metricsql"
	"sigs.k8s.io/yaml"
)

// TestVMAlertUnderstandsTheRules gives every expression to the parser that vmalert has, which also refuses functions that it does not
// know. promtool does the same for Prometheus 2.42, beside the rules.
func TestVMAlertUnderstandsTheRules(t *testing.T) {
	var file struct {
		Groups []struct {
			Rules []struct{ Alert, Record, Expr string }
		}
	}
	if err := yaml.Unmarshal([]byte(readFile(t, filepath.Join(repository, "alerts", "litellm_budget.rules.yml"))), &file); err != nil {
		t.Fatal(err)
	}
	understood := 0
	for _, group := range file.Groups {
		for _, rule := range group.Rules {
			if _, err := metricsql.Parse(rule.Expr); err != nil {
				t.Errorf("%s%s: %v", rule.Alert, rule.Record, err)
			}
			understood++
		}
	}
	if understood < 17 {
		t.Errorf("%d rules were found", understood)
	}
}
