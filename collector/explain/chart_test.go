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
	if want := []string{"64.0,18.4 135.1,18.4 158.8,18.4 182.5,18.4 628.0,18.4 628.0,18.4"}; !slices.Equal(c.Cap, want) {
		t.Errorf("cap: %q, want %q", c.Cap, want)
	}
	if len(c.Reported) != 1 || c.From != "11:58:00" || c.To != "11:59:59 UTC" {
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

func TestTheCapOfEachTimeIsDrawn(t *testing.T) {
	in := stories["falsely-locked-key"]()
	h := in.Asked.History
	h[0].Cap, h[1].Cap = capOf(5), capOf(5)
	h[3].Cap = budget.Cap{State: budget.CapUnlimited}
	// 5 until it was raised to 10, nothing for a while, then 10 again.
	want := []string{"64.0,87.2 135.1,87.2 158.8,87.2 158.8,18.4 182.5,18.4", "628.0,18.4 628.0,18.4"}
	if c := Explain(in).Budgets[0].Chart(); !slices.Equal(c.Cap, want) {
		t.Errorf("%q, want %q", c.Cap, want)
	}
}

func TestACapFarAboveBothSpendsDoesNotPressThemFlat(t *testing.T) {
	in := stories["falsely-locked-key"]()
	spends := Explain(in).Budgets[0].Chart().Counter // the counter is the highest, above the cap
	in.Asked.History[0].Cap = capOf(5000)
	c := Explain(in).Budgets[0].Chart()
	if want := []string{"135.1,18.4 158.8,18.4 182.5,18.4 628.0,18.4 628.0,18.4"}; !slices.Equal(c.Cap, want) {
		t.Errorf("a former cap that was far above: %q, want %q", c.Cap, want)
	}
	if !slices.Equal(c.Counter, spends) {
		t.Errorf("counter: %q, want %q", c.Counter, spends)
	}
	limit := 5000.0
	b := Explain(in).Budgets[0]
	b.MaxBudget, b.History = &limit, b.History[:1:1]
	b.History = append(b.History, Explain(in).Budgets[0].History[1])
	for i := range b.History {
		b.History[i].MaxBudget = &limit
	}
	if c := b.Chart(); c == nil || c.Cap != nil || len(c.Ticks) != 2 || c.Ticks[1].Text != Amount(3.536) {
		t.Errorf("the cap in force is far above: %+v", c)
	}
}
