package conformance

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Check is something that holds of the answers of every release that was recorded.
type Check struct {
	Name string
	Run  func(Answers) error
}

// Checks are what the exporter's reading rests on.
var Checks = []Check{
	{"keys come newest first unless asked otherwise", func(as Answers) error {
		l, err := as.keys("key-list-full")
		if err != nil {
			return err
		}
		return newestFirst(l.Keys)
	}},
	{"keys in the order of their tokens go on from page to page", func(as Answers) error {
		first, err1 := as.keys("key-list-full-page1")
		second, err2 := as.keys("key-list-full-page2")
		if err := errors.Join(err1, err2); err != nil {
			return err
		}
		var tokens []string
		for _, k := range append(first.Keys, second.Keys...) {
			tokens = append(tokens, k.Token)
		}
		if !slices.IsSorted(tokens) || len(slices.Compact(slices.Clone(tokens))) != len(tokens) {
			return fmt.Errorf("tokens not ascending: %v", tokens)
		}
		if len(tokens) != 8 || first.Total != 9 || first.Pages != 3 || second.Page != 2 {
			return fmt.Errorf("%d keys on two pages of 4; total %d, pages %d, second page numbered %d", len(tokens), first.Total, first.Pages, second.Page)
		}
		return nil
	}},
	{"a page past the last is empty and counts all", func(as Answers) error {
		l, err := as.keys("key-list-page-beyond")
		if err == nil && (len(l.Keys) != 0 || l.Total != 9 || l.Page != 99 || l.Pages != 1) {
			err = fmt.Errorf("got %+v", l)
		}
		return err
	}},
	{"short lists are hashes", func(as Answers) error {
		var l struct {
			Keys []string `json:"keys"`
		}
		if err := as.read("key-list", &l); err != nil {
			return err
		}
		if len(l.Keys) != 5 || len(l.Keys[0]) != 64 {
			return fmt.Errorf("got %v", l.Keys)
		}
		return nil
	}},
	{"a viewer sees the keys that the admin sees", func(as Answers) error {
		all, err1 := as.keys("key-list-full")
		seen, err2 := as.keys("key-list-viewer")
		if err := errors.Join(err1, err2); err != nil {
			return err
		}
		if !slices.EqualFunc(all.Keys, seen.Keys, func(a, b key) bool { return a.Token == b.Token }) {
			return fmt.Errorf("%d keys, the admin %d", len(seen.Keys), len(all.Keys))
		}
		return nil
	}},
	{"an internal user sees its own keys, as if there were no others", func(as Answers) error {
		l, err := as.keys("key-list-internal-user")
		if err != nil {
			return err
		}
		if len(l.Keys) != 2 || l.Total != 2 || !strings.HasSuffix(l.Keys[0].Alias, "-member") || !strings.HasSuffix(l.Keys[1].Alias, "-personal") {
			return fmt.Errorf("got %+v", l)
		}
		return nil
	}},
	{"key info names the key as it was asked for, and has no token", func(as Answers) error {
		for _, name := range []string{"key-info", "key-info-own"} {
			var a struct {
				Key  string `json:"key"`
				Info key    `json:"info"`
			}
			if err := as.read(name, &a); err != nil {
				return err
			}
			if len(a.Key) != 64 || a.Info.Token != "" {
				return fmt.Errorf("%s: key %q, token %q", name, a.Key, a.Info.Token)
			}
		}
		return nil
	}},
	{"a batch of keys has no tokens, and the highest spend first", func(as Answers) error {
		var a struct {
			Key  []string `json:"key"`
			Info []key    `json:"info"`
		}
		if err := as.read("v2-key-info", &a); err != nil {
			return err
		}
		if len(a.Key) != 2 || len(a.Info) != 2 || a.Info[0].Token+a.Info[1].Token != "" || a.Info[0].Spend <= a.Info[1].Spend {
			return fmt.Errorf("got %+v", a)
		}
		return nil
	}},
	{"a batch leaves out keys that do not exist", func(as Answers) error {
		var a struct {
			Key  []string `json:"key"`
			Info []key    `json:"info"`
		}
		if err := as.read("v2-key-info-unknown", &a); err != nil {
			return err
		}
		if len(a.Key) != 1 || a.Info == nil || len(a.Info) != 0 {
			return fmt.Errorf("got %+v", a)
		}
		return nil
	}},
	{"a team's keys have their tokens", func(as Answers) error {
		var a struct {
			Keys []key `json:"keys"`
		}
		if err := as.read("team-info", &a); err != nil {
			return err
		}
		if len(a.Keys) != 2 || len(a.Keys[0].Token) != 64 {
			return fmt.Errorf("got %+v", a)
		}
		return nil
	}},
	{"a linked budget holds for the key that has none of its own", func(as Answers) error {
		var a struct {
			Info struct {
				MaxBudget *float64 `json:"max_budget"`
				BudgetID  string   `json:"budget_id"`
				Budget    struct {
					MaxBudget float64 `json:"max_budget"`
				} `json:"litellm_budget_table"`
			} `json:"info"`
		}
		if err := as.read("key-info-by-budget-id", &a); err != nil {
			return err
		}
		if a.Info.MaxBudget != nil || a.Info.BudgetID == "" || a.Info.Budget.MaxBudget != 7 {
			return fmt.Errorf("got %+v", a.Info)
		}
		return nil
	}},
	{"budgets come oldest first, not paged", func(as Answers) error {
		var budgets []key
		if err := as.read("budget-list", &budgets); err != nil {
			return err
		}
		slices.Reverse(budgets)
		return newestFirst(budgets)
	}},
	{"the log of failed requests tells what a key was refused by", func(as Answers) error {
		var l struct {
			Data []struct {
				RequestID string    `json:"request_id"`
				APIKey    string    `json:"api_key"`
				StartTime time.Time `json:"startTime"`
				Status    string    `json:"status"`
				Metadata  struct {
					Error struct {
						Class     string `json:"error_class"`
						Message   string `json:"error_message"`
						Traceback string `json:"traceback"`
					} `json:"error_information"`
				} `json:"metadata"`
			} `json:"data"`
			Total int `json:"total"`
			Page  int `json:"page"`
			Pages int `json:"total_pages"`
		}
		if err := as.read("spend-logs-v2-failures", &l); err != nil {
			return err
		}
		refused := 0
		for i, row := range l.Data {
			if row.Status != "failure" || row.RequestID == "" || i > 0 && row.StartTime.After(l.Data[i-1].StartTime) {
				return fmt.Errorf("row %d: %+v; want a failure, the newest first", i, row)
			}
			e := row.Metadata.Error
			if e.Class != "BudgetExceededError" {
				continue
			}
			refused++
			named := strings.Contains(e.Message, "! Key=") || strings.Contains(e.Traceback, "_virtual_key_max_budget_check")
			if !named || !strings.HasSuffix(e.Message, ", Max budget: 0.0008") || !strings.Contains(e.Message, "Current cost: ") || len(row.APIKey) != 64 {
				return fmt.Errorf("row %d: by %q: %+v; want a key that was refused by its cap", i, row.APIKey, e)
			}
		}
		if refused == 0 || l.Total < refused || l.Page != 1 || l.Pages < 1 {
			return fmt.Errorf("%d refusals of %d failures, page %d of %d", refused, l.Total, l.Page, l.Pages)
		}
		return nil
	}},
	{"teams are paged by page_size", func(as Answers) error {
		var l struct {
			Teams    []json.RawMessage `json:"teams"`
			Total    int               `json:"total"`
			Page     int               `json:"page"`
			PageSize int               `json:"page_size"`
			Pages    int               `json:"total_pages"`
		}
		if err := as.read("v2-team-list", &l); err != nil {
			return err
		}
		if len(l.Teams) != 1 || l.Total != 1 || l.Page != 1 || l.PageSize != 100 || l.Pages != 1 {
			return fmt.Errorf("got %d teams, total %d, page %d of %d with %d", len(l.Teams), l.Total, l.Page, l.Pages, l.PageSize)
		}
		return nil
	}},
}

// key is what the checks look at in a key, or a budget.
type key struct {
	Token     string    `json:"token"`
	Alias     string    `json:"key_alias"`
	Spend     float64   `json:"spend"`
	CreatedAt time.Time `json:"created_at"`
}

// keyList is an answer of /key/list.
type keyList struct {
	Keys  []key `json:"keys"`
	Total int   `json:"total_count"`
	Page  int   `json:"current_page"`
	Pages int   `json:"total_pages"`
}

func (as Answers) keys(name string) (keyList, error) {
	var l keyList
	err := as.read(name, &l)
	return l, err
}

func (as Answers) read(name string, v any) error {
	a, there := as[name]
	if !there {
		return fmt.Errorf("no answer %s", name)
	}
	if a.Status != 200 {
		return fmt.Errorf("%s: status %d: %.200s", name, a.Status, a.Body)
	}
	if err := json.Unmarshal(a.Body, v); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// newestFirst compares times, not their text: LiteLLM leaves out a fraction of a second that is 0.
func newestFirst(keys []key) error {
	for i := 1; i < len(keys); i++ {
		if keys[i].CreatedAt.After(keys[i-1].CreatedAt) {
			return fmt.Errorf("item %d: %s comes after %s", i, keys[i].CreatedAt, keys[i-1].CreatedAt)
		}
	}
	if len(keys) < 2 {
		return fmt.Errorf("only %d", len(keys))
	}
	return nil
}
