package checks

import (
	"log/slog"
	"testing"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/rulefmt"
	"github.com/prometheus/prometheus/promql/parser"
)

// TestNewestPrometheusUnderstandsTheRules loads the rules, templates included, as Prometheus 3 and Mimir do;
// Debian's promtool, which the rules' own tests run, is of Prometheus 2.
func TestNewestPrometheusUnderstandsTheRules(t *testing.T) {
	groups, errs := rulefmt.ParseFile("../../alerts/litellm_budget.rules.yml", false, model.LegacyValidation,
		parser.NewParser(parser.Options{}), slog.New(slog.DiscardHandler))
	for _, err := range errs {
		t.Error(err)
	}
	if groups == nil || len(groups.Groups) == 0 {
		t.Fatal("there are no rules")
	}
}
