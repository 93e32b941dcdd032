package conformance

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"litellm_budget_exporter/conformance/recorded"
)

// wholeOf says which recorded list a recorded part of it is compared as: which keys are in the part is chance.
var wholeOf = map[string]string{"key-list-full-page1": "key-list-full", "key-list-full-page2": "key-list-full", "team-info-one-key": "team-info-all-keys"}

// Differences says how other answers differ from these.
func (as Answers) Differences(got Answers) []string {
	var ds []string
	for _, name := range slices.Sorted(maps.Keys(as)) {
		want := as[name]
		more := append(lengths(want.Body).differences(lengths(got[name].Body)), refusalsIn(want.Body).differences(refusalsIn(got[name].Body))...)
		if whole, isPage := wholeOf[name]; isPage {
			want = as[whole]
		}
		for _, d := range append(Differences(want, got[name]), more...) {
			ds = append(ds, name+": "+d)
		}
	}
	return ds
}

// Differences says how an answer differs from the recorded one in what a reader of LiteLLM can rely on: the status,
// the fields of every object, the types of their values (null only where null was recorded), and, in an error, its
// type, param, code and wording. Names, hashes and amounts may differ.
func Differences(want, got recorded.Answer) []string {
	var ds []string
	if want.Status != got.Status {
		ds = append(ds, fmt.Sprintf("status %d, recorded %d", got.Status, want.Status))
	}
	if w, g := want.Headers["content-type"], got.Headers["content-type"]; w != g {
		ds = append(ds, fmt.Sprintf("content type %q, recorded %q", g, w))
	}
	wantShape, gotShape := shape{}, shape{}
	if err := wantShape.read(want.Body); err != nil {
		return append(ds, "recorded body: "+err.Error())
	}
	if err := gotShape.read(got.Body); err != nil {
		return append(ds, "body: "+err.Error())
	}
	ds = append(ds, wantShape.differences(gotShape)...)
	if w, g := failureOf(want.Body), failureOf(got.Body); w != g {
		ds = append(ds, fmt.Sprintf("error %s, recorded %s", g, w))
	}
	return ds
}

// shape is the types that were seen at each path of a JSON value. The elements of a list share one path.
type shape map[string]map[string]bool

func (s shape) read(body json.RawMessage) error {
	var v any
	if err := json.Unmarshal(body, &v); err != nil {
		return err
	}
	s.add("", v)
	return nil
}

func (s shape) add(path string, v any) {
	if s[path] == nil {
		s[path] = map[string]bool{}
	}
	switch v := v.(type) {
	case nil:
		s[path]["null"] = true
	case bool:
		s[path]["bool"] = true
	case float64:
		s[path]["number"] = true
	case string:
		s[path]["string"] = true
	case []any:
		s[path]["list"] = true
		for _, item := range v {
			s.add(path+"[]", item)
		}
	case map[string]any:
		s[path]["object"] = true
		switch {
		case path == ".data[].metadata": // of a logged request: LiteLLM's own
		case strings.HasSuffix(path, ".metadata"):
			return // whatever somebody put there
		case strings.HasSuffix(path, ".model_map_value"):
			return // what LiteLLM's price list says of a model
		}
		for name, field := range v {
			s.add(path+"."+name, field)
		}
	}
}

// differences says what the other shape has that this one has not, and the other way round. What lies inside
// something that one of them did not have at all (a nested object that was null, an empty list) is not compared.
func (s shape) differences(got shape) []string {
	var ds []string
	for _, path := range slices.Sorted(maps.Keys(got)) {
		switch {
		case s[path] == nil && s.has(parent(path)):
			ds = append(ds, path+": not recorded")
		case s[path] != nil:
			for _, kind := range slices.Sorted(maps.Keys(got[path])) {
				if !s[path][kind] {
					ds = append(ds, fmt.Sprintf("%s: %s, recorded %s", path, kind, strings.Join(slices.Sorted(maps.Keys(s[path])), " or ")))
				}
			}
		}
	}
	for _, path := range slices.Sorted(maps.Keys(s)) {
		if got[path] == nil && got.has(parent(path)) {
			ds = append(ds, path+": missing")
		}
	}
	return ds
}

// has says whether there was an object, whose fields can be compared. Elements of lists may always be missing.
func (s shape) has(path string) bool { return s[path]["object"] }

func parent(path string) string {
	if strings.HasSuffix(path, "[]") {
		return "a list has no fields"
	}
	return path[:max(strings.LastIndex(path, "."), 0)]
}

// failure is what identifies an error.
type failure struct{ kind, param, code, message string }

func (f failure) String() string {
	return fmt.Sprintf("type %s param %s code %s message %q", f.kind, f.param, f.code, f.message)
}

func failureOf(body json.RawMessage) failure {
	var b struct {
		Error struct {
			Message string          `json:"message"`
			Type    json.RawMessage `json:"type"`
			Param   json.RawMessage `json:"param"`
			Code    json.RawMessage `json:"code"`
		} `json:"error"`
		Detail json.RawMessage `json:"detail"`
	}
	if json.Unmarshal(body, &b) != nil { // a list: no error
		return failure{}
	}
	return failure{string(b.Error.Type), blank(string(b.Error.Param)), string(b.Error.Code), blank(b.Error.Message + compact(b.Detail))}
}

// compact writes JSON with its fields in order, so that it can be compared.
func compact(body json.RawMessage) string {
	var v any
	if json.Unmarshal(body, &v) != nil {
		return ""
	}
	text, err := json.Marshal(v)
	if err != nil {
		return ""
	}
	return string(text)
}

// What differs from one LiteLLM to the next in one and the same message.
var variable = regexp.MustCompile(`[0-9a-f]{64}|sk-\.\.\.[\w-]{4}|rec\d+|\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d+)?|\d+\.\d+(e-?\d+)?`)

func blank(message string) string { return variable.ReplaceAllString(message, "…") }

// facts are what an answer says, by what they are about.
type facts map[string]string

func (f facts) differences(got facts) []string {
	var ds []string
	for _, about := range slices.Sorted(maps.Keys(f)) {
		if g := got[about]; g != f[about] {
			ds = append(ds, fmt.Sprintf("%s: %q, recorded %q", about, g, f[about]))
		}
	}
	for _, about := range slices.Sorted(maps.Keys(got)) {
		if _, there := f[about]; !there {
			ds = append(ds, fmt.Sprintf("%s: %q, not recorded", about, got[about]))
		}
	}
	return ds
}

// lengths are how long the lists of keys and teams in an answer are, and how it counts and pages them.
func lengths(body json.RawMessage) facts {
	var fields map[string]json.RawMessage
	if json.Unmarshal(body, &fields) != nil || fields["data"] != nil { // how long a log is depends on what else was asked
		return nil
	}
	f := facts{}
	for _, name := range []string{"keys", "info", "teams", "team_memberships"} {
		var items []json.RawMessage
		if value := fields[name]; value != nil && json.Unmarshal(value, &items) == nil { // the info of one key is an object
			f[name] = fmt.Sprintf("%d items", len(items))
		}
	}
	for _, name := range []string{"total_count", "total", "current_page", "page", "page_size", "total_pages"} {
		if value := fields[name]; value != nil {
			f[name] = string(value)
		}
	}
	return f
}

// refusalsIn is what the log says of each kind of refusal by a budget, by LiteLLM's wording without amounts.
func refusalsIn(body json.RawMessage) facts {
	var l struct {
		Data []struct {
			APIKey   string `json:"api_key"`
			User     string `json:"user"`
			Team     string `json:"team_id"`
			Metadata struct {
				Error struct {
					Class      string `json:"error_class"`
					Code       string `json:"error_code"`
					Message    string `json:"error_message"`
					Limit      string `json:"error_rate_limit_type"`
					EntityType string `json:"error_budget_entity_type"`
					EntityID   string `json:"error_budget_entity_id"`
				} `json:"error_information"`
			} `json:"metadata"`
		} `json:"data"`
	}
	if json.Unmarshal(body, &l) != nil {
		return nil
	}
	f := facts{}
	for _, row := range l.Data {
		e := row.Metadata.Error
		if e.Class != "BudgetExceededError" {
			continue
		}
		key := blank(row.APIKey)
		if strings.Contains(key, "sk-") {
			key = "what the client sent"
		}
		f[blank(e.Message)] = blank(fmt.Sprintf("by %s, user %q, team %q, code %s, limit %q, entity %q %q", key, row.User, row.Team, e.Code, e.Limit, e.EntityType, e.EntityID))
	}
	return f
}
