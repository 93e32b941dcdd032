package explain

import (
	"slices"
	"testing"

	"litellm_budget_exporter/collector/budget"
)

func TestChart(t *testing.T) {
	in := stories["falsely-locked-key"]()
	b := Explain(in).Budgets[0]
	c := b.Chart()
	// 3.536 of 10.607 at the beginning, a gap where there was no counter, then the top.
	if want := []string{"64.0,107.3 135.1,107.3", "182.5,10.0 628.0,10.0"}; !slices.Equal(c.Counter, want) {
		t.Errorf("counter: %q, want %q", c.Counter, want)
	}
	if len(c.Reported) != 1 || c.Cap != "18.4" || c.From != "11:58:00" || c.To != "11:59:59 UTC" {
		t.Errorf("%+v", *c)
	}
	// The cap and the top are too near to each other for two amounts.
	if want := []Tick{{"18.4", "10.00"}, {"156.0", "0.00"}}; !slices.Equal(c.Ticks, want) {
		t.Errorf("ticks: %v, want %v", c.Ticks, want)
	}
	for name, history := range map[string][]budget.Sample{"nothing moved": nil, "one look": history()[:1]} {
		in.Asked.History = history
		if c := Explain(in).Budgets[0].Chart(); c != nil {
			t.Errorf("%s: there is nothing to draw, but %+v", name, *c)
		}
	}
}
