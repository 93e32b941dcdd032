package simulator

import (
	"cmp"
	"maps"
	"net/http"
	"slices"
)

// budgetList is GET /budget/list: every row of the budget table, unpaginated.
func (a *answer) budgetList(*http.Request) *response {
	budgets := slices.SortedFunc(maps.Values(a.db.budgets), func(x, y *Budget) int {
		return cmp.Or(x.CreatedAt.Compare(y.CreatedAt), cmp.Compare(x.ID, y.ID))
	})
	return ok(list(nil, budgets, func(dst []byte, b *Budget) []byte {
		return a.shapes.budget.json(dst, a, b, "")
	}))
}

// budget is a nested litellm_budget_table.
func (a *answer) budget(id string) any {
	b := a.db.budgets[id]
	if b == nil {
		return nil
	}
	return raw(a.shapes.budget.json(nil, a, b, ""))
}

// budgetInList is litellm_budget_table in /key/list, which older releases do not load.
func (a *answer) budgetInList(id string) any {
	if !a.release.is(nestsBudgetInList) {
		return nil
	}
	return a.budget(id)
}
