package casebook

import (
	"bytes"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// TestCases judges every case of the casebook.
func TestCases(t *testing.T) {
	files, err := filepath.Glob("cases/*.yml")
	if err != nil || len(files) == 0 {
		t.Fatalf("there are no cases: %v", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			c := read(t, file)
			for _, e := range c.Entities {
				if e.Expect == nil {
					t.Errorf("%s %s: the case does not say what it expects", e.Scope, e.ID)
				}
			}
			r := c.Replay()
			if err := r.Check(); err != nil {
				for _, p := range r.Entities {
					for _, s := range p.Steps {
						t.Logf("%s %s: %+v", s.Entity.ID.Value, s.At, *s.Entity)
					}
				}
				t.Fatal(err)
			}
		})
	}
}

func read(t *testing.T, file string) *Case {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	c, err := Read(f)
	if err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	return c
}

// TestWriteReadsBack writes every case and reads it again.
func TestWriteReadsBack(t *testing.T) {
	files, _ := filepath.Glob("cases/*.yml")
	for _, file := range files {
		c := read(t, file)
		var text bytes.Buffer
		if err := Write(&text, c); err != nil {
			t.Fatal(err)
		}
		again, err := Read(&text)
		if err != nil {
			t.Fatalf("%s: %v\n%s", file, err, &text)
		}
		if !reflect.DeepEqual(c, again) {
			t.Errorf("%s comes back different: %+v", file, again)
		}
	}
}

// valid is a small case, of which the bad ones are made.
const valid = `format: 1
title: t
release: 1.84.0
entities:
  - scope: key
    id: key-1
    max_budget: 10
    windows: [{duration: 1d, max_budget: 3}]
    readings:
      - {at: 0s, reported: 1, counter: 1, windows: {1d: 0.5}}
      - {at: 15s, counter: 1.5, ttl: never}
    expect: {verdict: ok}
`

func TestReadErrors(t *testing.T) {
	if _, err := Read(strings.NewReader(valid)); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ old, new, want string }{
		{valid, "", "it is empty"},
		{"expect:", "expects:", "field expects not found"},
		{"format: 1", "format: 2", "this program reads format 1"},
		{"title: t", "title: ''", "title is missing"},
		{"title: t", "title: t\nfleet_cause: gremlins", `fleet_cause is "gremlins"`},
		{"    expect:", "    refusals: [{at: never}]\n    expect:", "refusals: at must be a time"},
		{"    expect:", "    refusals: [{at: 1s, own: true, window: 1d}]\n    expect:", "leave out own or window"},
		{"scope: key", "scope: user", `scope is "user"`},
		{"id: key-1", "id: ''", "a key has no id"},
		{"max_budget: 10", "max_budget: absent", "max_budget cannot be absent"},
		{"max_budget: 10", "max_budget: much", `"much" is neither an amount`},
		{"max_budget: 10", "max_budget: .nan", "neither an amount"},
		{"reported: 1,", "", "the first must be there and have reported"},
		{"reported: 1,", "reported: absent,", "reported cannot be absent"},
		{"counter: 1.5, ttl: never", "ttl: 3s", "neither reported nor counter"},
		{"counter: 1.5, ttl: never", "counter: 1.5, blocked: true", "reported is missing"},
		{"counter: 1.5, ttl: never", "reported: 1, ttl: 3s", "ttl and windows need a counter"},
		{"ttl: never", "ttl: soon", `"soon" is no duration`},
		{"at: 15s", "at: -15s", "at must be a time"},
		{"at: 0s", "at: 20s", "it comes after one at 20s"},
		{"at: 0s,", "at: 0s, left_out: 3,", "left_out needs reported and counter"},
		{"counter: 1.5,", "counter: 1.5, left_out: 3,", "left_out needs reported and counter"},
		{"counter: 1.5,", "counter: 1.5, left_out: -1,", "left_out is a number of readings"},
		{"{1d: 0.5}", "{2d: 0.5}", `no window "2d"`},
		{"{1d: 0.5}", "{1d: unlimited}", "windows cannot be unlimited"},
		{"verdict: ok", "verdict: fine", `verdict is "fine"`},
		{"verdict: ok", "verdict: diverging, cause: gremlins", `cause is "gremlins"`},
		{"verdict: ok", "verdict: ok, by: 1m", "with verdict ok"},
		{"verdict: ok", "verdict: diverging, episodes: 1", "episodes are those of"},
		{"verdict: ok}\n", "verdict: ok}\n---\n", "more than one document"},
	} {
		text := strings.Replace(valid, c.old, c.new, 1)
		if text == valid {
			t.Fatalf("%q is not in the valid case", c.old)
		}
		if _, err := Read(strings.NewReader(text)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("with %q for %q the error is %v, want one that says %q", c.new, c.old, err, c.want)
		}
	}
}

// TestCheckTells has a case expect something else than what is said of it.
func TestCheckTells(t *testing.T) {
	locked, err := os.ReadFile("cases/27735.yml")
	if err != nil {
		t.Fatal(err)
	}
	const expected = "{verdict: falsely_locked, cause: reseed_multiple, by: 2m, ends_by: 90s, episodes: 1}"
	if !bytes.Contains(locked, []byte(expected)) {
		t.Fatal("27735.yml expects something else")
	}
	for expect, want := range map[string]string{
		"{verdict: ok}": `the worst verdict is "falsely_locked", want "ok"`,
		"{verdict: falsely_locked, cause: negative, ends_by: 90s}": `want "negative"`,
		"{verdict: falsely_locked, by: 30s, ends_by: 90s}":         "want 30s at the latest",
		"{verdict: falsely_locked}":                                "want to the end",
		"{verdict: falsely_locked, ends_by: 80s}":                  "is not over by 1m20s",
		"{verdict: falsely_locked, ends_by: 90s, episodes: 2}":     "1 episodes are counted, want 2",
	} {
		c, err := Read(strings.NewReader(strings.Replace(string(locked), expected, expect, 1)))
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Replay().Check(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("expecting %s the error is %v, want one that says %q", expect, err, want)
		}
	}
}

// TestEveryNamedIssueHasACase holds the casebook to what its README and explain name.
func TestEveryNamedIssueHasACase(t *testing.T) {
	readme, err := os.ReadFile("cases/README.md")
	if err != nil {
		t.Fatal(err)
	}
	named := map[int]string{}
	for _, number := range regexp.MustCompile(`\b[1-5]\d{4}\b`).FindAllString(string(readme), -1) {
		n, _ := strconv.Atoi(number)
		named[n] = "cases/README.md"
	}
	have := map[int]bool{}
	files, _ := filepath.Glob("cases/*.yml")
	for _, file := range files {
		c := read(t, file)
		for _, n := range c.Issues {
			have[n] = true
		}
		r := c.Replay()
		for _, b := range r.Explain(r.Key(), r.Key().Worst()).Budgets {
			if b.Cause != nil {
				for _, n := range b.Cause.Issues {
					named[n] = "explain, of " + string(b.Cause.Name)
				}
			}
		}
	}
	if len(named) < 50 {
		t.Fatalf("only %d issues are named", len(named))
	}
	for n, by := range named {
		if !have[n] {
			t.Errorf("#%d is named by %s, and there is no case of it", n, by)
		}
	}
}
