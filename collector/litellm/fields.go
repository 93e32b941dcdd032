package litellm

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"sync"
	"time"

	"litellm_budget_exporter/collector/budget"
)

// fields reads the fields of one JSON object by name and keeps the first error. A field that is absent or
// null is nobody's error unless it is required. No error repeats a value.
type fields struct {
	path string // of the object, "" = the whole answer
	err  error
}

// at is the path of a field, or the object's own for the name "".
func (f *fields) at(name string) string {
	switch {
	case name == "":
		return f.path
	case f.path == "":
		return name
	}
	return f.path + "." + name
}

func (f *fields) fail(name, want string) {
	if f.err != nil {
		return
	}
	if where := f.at(name); where != "" {
		f.err = fmt.Errorf("%s: want %s", where, want)
	} else {
		f.err = fmt.Errorf("want %s", want)
	}
}

// present says that a field is there and not null.
func present(raw json.RawMessage) bool { return raw != nil && !bytes.Equal(raw, []byte("null")) }

// text reads a string; "" when there is none. Invalid UTF-8 becomes U+FFFD.
func (f *fields) text(name string, raw json.RawMessage) (s string) {
	if present(raw) && json.Unmarshal(raw, &s) != nil {
		f.fail(name, "a string")
	}
	return s
}

// required reads a string that must not be empty.
func (f *fields) required(name string, raw json.RawMessage) string {
	s := f.text(name, raw)
	if s == "" {
		f.fail(name, "a string that is not empty")
	}
	return s
}

// keyHash reads the identity of a key. Where LiteLLM sends the key itself, nothing of it but its hash is kept.
func (f *fields) keyHash(name string, raw json.RawMessage) string {
	token := f.required(name, raw)
	if budget.IsRawKey(token) {
		return budget.HashKey(token)
	}
	return token
}

// number reads a number, quoted or not. NaN and Infinity are unknown.
func (f *fields) number(name string, raw json.RawMessage) budget.Optional[float64] {
	if !present(raw) {
		return budget.Optional[float64]{}
	}
	s := string(raw)
	if raw[0] == '"' {
		s = strings.TrimSpace(f.text(name, raw))
	}
	v, err := strconv.ParseFloat(s, 64)
	if err != nil && !errors.Is(err, strconv.ErrRange) {
		f.fail(name, "a number")
		return budget.Optional[float64]{}
	}
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return budget.Optional[float64]{}
	}
	return budget.Some(v)
}

// count reads a whole number that must be there.
func (f *fields) count(name string, raw json.RawMessage) int {
	v := f.number(name, raw)
	if !v.Known || v.Value < 0 || v.Value > math.MaxInt32 || v.Value != math.Trunc(v.Value) {
		f.fail(name, "a whole number")
		return 0
	}
	return int(v.Value)
}

func (f *fields) flag(name string, raw json.RawMessage) (b bool) {
	if present(raw) && json.Unmarshal(raw, &b) != nil {
		f.fail(name, "true or false")
	}
	return b
}

// instant reads a time; one without a zone is UTC, as the database holds it.
func (f *fields) instant(name string, raw json.RawMessage) budget.Optional[time.Time] {
	s := f.text(name, raw)
	if s == "" {
		return budget.Optional[time.Time]{}
	}
	at, _, err := parseInstant(s)
	if err != nil {
		f.fail(name, "an ISO 8601 time")
		return budget.Optional[time.Time]{}
	}
	return budget.Some(at)
}

// list reads an array that must be there; JSON columns may arrive as a string that holds it.
func (f *fields) list(name string, raw json.RawMessage) (items []json.RawMessage) {
	if raw = f.column(name, raw); json.Unmarshal(raw, &items) != nil || items == nil {
		f.fail(name, "a list")
	}
	return items
}

// object reads an object that must be there, or a string that holds it.
func (f *fields) object(name string, raw json.RawMessage, to any) {
	if raw = f.column(name, raw); !present(raw) || json.Unmarshal(raw, to) != nil {
		f.fail(name, "an object")
	}
}

// column is a JSON column of the database, which LiteLLM may send as it is or as a string.
func (f *fields) column(name string, raw json.RawMessage) json.RawMessage {
	if len(raw) > 0 && raw[0] == '"' {
		return json.RawMessage(f.text(name, raw))
	}
	return raw
}

// object reads the body of an answer that must be one JSON object; null passes for an object without fields.
func object(body []byte, to any) error {
	if err := json.Unmarshal(body, to); err != nil {
		if mistyped := (*json.UnmarshalTypeError)(nil); errors.As(err, &mistyped) {
			return errors.New("want an object")
		}
		return fmt.Errorf("no whole JSON: %w", err)
	}
	return nil
}

// instantLayouts are the forms of ISO 8601 that Python writes and reads; fractions of a second fit any of them.
var instantLayouts = []struct {
	layout string
	zoned  bool
}{
	{"2006-01-02T15:04:05Z07:00", true},
	{"2006-01-02T15:04:05", false},
	{"2006-01-02T15:04:05Z0700", true},
	{"2006-01-02T15:04Z07:00", true},
	{"2006-01-02T15:04", false},
	{"2006-01-02", false},
}

// parseInstant reads a time and says whether it had a zone; without one it is taken for UTC.
func parseInstant(s string) (at time.Time, zoned bool, err error) {
	if len(s) > len(time.DateOnly) && s[len(time.DateOnly)] == ' ' {
		s = s[:len(time.DateOnly)] + "T" + s[len(time.DateOnly)+1:]
	}
	for _, l := range instantLayouts {
		if at, err = time.Parse(l.layout, s); err == nil {
			return at.UTC(), l.zoned, nil
		}
	}
	return time.Time{}, false, err
}

// mostShared bounds the strings remembered for sharing.
const mostShared = 1 << 16

// sharedStrings gives equal strings one copy: hundreds of thousands of rows name the same teams, users and
// budgets. Its zero value is ready to use.
type sharedStrings struct {
	mu   sync.Mutex
	seen map[string]string
}

func (s *sharedStrings) of(v string) string {
	if v == "" {
		return ""
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if seen, ok := s.seen[v]; ok {
		return seen
	}
	if s.seen == nil || len(s.seen) >= mostShared {
		s.seen = make(map[string]string)
	}
	s.seen[v] = v
	return v
}
