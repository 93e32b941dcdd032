package litellm_test

import (
	"slices"
	"testing"
	"time"

	"litellm_budget_exporter/collector/budget"
	"litellm_budget_exporter/collector/litellm"
)

func TestMatchKeys(t *testing.T) {
	at := func(ms int) budget.Optional[time.Time] {
		return budget.Some(time.UnixMilli(1_800_000_000_000 + int64(ms)))
	}
	row := func(hash string, created budget.Optional[time.Time], name string) *budget.Row {
		return &budget.Row{ID: budget.ID{Scope: budget.Key, Value: hash}, CreatedAt: created, KeyName: name}
	}
	unknown := budget.Optional[time.Time]{}
	for _, tc := range []struct {
		name          string
		known, answer []*budget.Row
		matched       []string // hash/key_name of the answer, in the order of known
		unmatched     []string
	}{
		{
			"in another order",
			[]*budget.Row{row("a", at(1), "sk-...1"), row("b", at(2), "sk-...2")},
			[]*budget.Row{row("", at(2), "sk-...2"), row("", at(1), "sk-...1")},
			[]string{"a/sk-...1", "b/sk-...2"}, nil,
		},
		{
			"created at the same time",
			[]*budget.Row{row("a", at(1), "sk-...1"), row("b", at(1), "sk-...2")},
			[]*budget.Row{row("", at(1), "sk-...2"), row("", at(1), "sk-...1")},
			[]string{"a/sk-...1", "b/sk-...2"}, nil,
		},
		{
			"two known alike, one answered",
			[]*budget.Row{row("a", at(1), "sk-...1"), row("b", at(1), "sk-...1"), row("c", at(3), "sk-...1")},
			[]*budget.Row{row("", at(1), "sk-...1"), row("", at(3), "sk-...1")},
			[]string{"c/sk-...1"}, []string{"a", "b"},
		},
		{
			"three known alike",
			[]*budget.Row{row("a", at(1), "x"), row("b", at(1), "x"), row("c", at(1), "x")},
			[]*budget.Row{row("", at(1), "x")},
			nil, []string{"a", "b", "c"},
		},
		{
			"two answered alike",
			[]*budget.Row{row("a", at(1), "sk-...1")},
			[]*budget.Row{row("", at(1), "sk-...1"), row("", at(1), "sk-...1")},
			nil, []string{"a"},
		},
		{
			"missing in the answer",
			[]*budget.Row{row("a", at(1), "sk-...1"), row("b", at(2), "sk-...2")},
			[]*budget.Row{row("", at(2), "sk-...2")},
			[]string{"b/sk-...2"}, []string{"a"},
		},
		{
			"not known",
			[]*budget.Row{row("a", at(1), "sk-...1")},
			[]*budget.Row{row("", at(1), "sk-...1"), row("", at(9), "sk-...9")},
			[]string{"a/sk-...1"}, nil,
		},
		{
			"regenerated meanwhile",
			[]*budget.Row{row("a", at(1), "sk-...1")},
			[]*budget.Row{row("", at(1), "sk-...new")},
			nil, []string{"a"},
		},
		{
			"without created_at",
			[]*budget.Row{row("a", unknown, "sk-...1")},
			[]*budget.Row{row("", unknown, "sk-...1")},
			nil, []string{"a"},
		},
		{"nothing", nil, nil, nil, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			matched, unmatched := litellm.MatchKeys(tc.known, tc.answer)
			var got []string
			for _, r := range matched {
				got = append(got, r.ID.Value+"/"+r.KeyName)
				if r.ID.Scope != budget.Key || slices.Contains(tc.answer, r) {
					t.Errorf("row %+v: want a copy of a key's", r)
				}
			}
			if !slices.Equal(got, tc.matched) || !slices.Equal(unmatched, tc.unmatched) {
				t.Errorf("matched %v, unmatched %v; want %v, %v", got, unmatched, tc.matched, tc.unmatched)
			}
		})
	}
}

// The list and the batch answer write one time in two forms.
func TestMatchKeysAcrossFormsOfTime(t *testing.T) {
	listed, err := answering(t, 200, `{"keys":[{"token":"a","key_name":"sk-...1","created_at":"2026-11-24T07:31:05.847000Z"}],"total_count":1,"current_page":1,"total_pages":1}`).Keys(t.Context(), litellm.ByToken, 1)
	if err != nil {
		t.Fatal(err)
	}
	for _, form := range []string{"2026-11-24T07:31:05.847000+00:00", "2026-11-24T07:31:05.847", "2026-11-24T08:31:05.847+01:00"} {
		answer, err := answering(t, 200, `{"info":[{"key_name":"sk-...1","created_at":"`+form+`"}]}`).KeysInfo(t.Context(), []string{"a"})
		if err != nil {
			t.Fatal(err)
		}
		if matched, unmatched := litellm.MatchKeys(listed.Rows, answer); len(matched) != 1 || len(unmatched) != 0 {
			t.Errorf("%s: unmatched %v", form, unmatched)
		}
	}
}
