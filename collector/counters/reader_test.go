package counters_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"testing"
	"time"

	"litellm_budget_exporter/collector/budget"
	"litellm_budget_exporter/collector/counters"
	"litellm_budget_exporter/collector/counters/redistest"
)

// patience is the timeout of readers that are to succeed: far longer than a healthy Redis takes.
const patience = 10 * time.Second

// open makes a reader of one address; set changes its options.
func open(tb testing.TB, address string, set func(*counters.Options)) *counters.Reader {
	tb.Helper()
	o := counters.Options{Mode: counters.Standalone, Addresses: []string{address}, Timeout: patience}
	if set != nil {
		set(&o)
	}
	r, err := counters.New(o)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = r.Close() })
	return r
}

// read reads names that are to be readable.
func read(tb testing.TB, r *counters.Reader, names ...string) []budget.Counter {
	tb.Helper()
	readings, err := r.Read(context.Background(), names)
	if err != nil {
		tb.Fatal(err)
	}
	if len(readings) != len(names) {
		tb.Fatalf("%d readings for %d names", len(readings), len(names))
	}
	return readings
}

func password(p string) func() (string, error) {
	return func() (string, error) { return p, nil }
}

// wantReason checks that an error names a reason.
func wantReason(t *testing.T, err error, want counters.Reason) {
	t.Helper()
	var e *counters.Error
	if !errors.As(err, &e) {
		t.Fatalf("error is %v, want one with reason %s", err, want)
	}
	if e.Reason != want {
		t.Fatalf("reason is %s, want %s: %v", e.Reason, want, err)
	}
}

func TestReadShowsWhatRedisHolds(t *testing.T) {
	s := redistest.Standalone(t)
	r := open(t, s.Addr, nil)
	s.Do(t, "SET", "forever", "1")
	s.Do(t, "RPUSH", "list", "1")
	s.Do(t, "SET", "incremented", "3.536", "EX", 60)
	s.Do(t, "INCRBYFLOAT", "incremented", "7.071")

	tests := []struct {
		name   string
		stored string // SET for a minute before reading, when not empty
		state  budget.CounterState
		value  float64
	}{
		{name: "incremented", state: budget.CounterPresent, value: 10.607},
		{"json zero", "0.0", budget.CounterPresent, 0},
		{"integer", "0", budget.CounterPresent, 0},
		{"exponent", "1e-05", budget.CounterPresent, 1e-5},
		{"exponent in capitals", "1.5E+3", budget.CounterPresent, 1500},
		{"negative", "-0.25", budget.CounterPresent, -0.25},
		{"all digits", "0.1234567890123456789", budget.CounterPresent, 0.1234567890123456789},
		{"quoted", `"3.5"`, budget.CounterPresent, 3.5},
		{"python quotes", `'3.5'`, budget.CounterPresent, 3.5},
		{"nan", "NaN", budget.CounterUnreadable, 0},
		{"infinity", "-Infinity", budget.CounterUnreadable, 0},
		{"inf", "inf", budget.CounterUnreadable, 0},
		{"too large", "1e999", budget.CounterUnreadable, 0},
		{"words", "three", budget.CounterUnreadable, 0},
		{"null", "null", budget.CounterUnreadable, 0},
		{"hexadecimal", "0x1p4", budget.CounterUnreadable, 0},
		{"underscore", "1_000", budget.CounterUnreadable, 0},
		{"quotes alone", `"`, budget.CounterUnreadable, 0},
		{"object", `{"spend": 1}`, budget.CounterUnreadable, 0},
		{name: "list", state: budget.CounterUnreadable},
		{name: "absent", state: budget.CounterAbsent},
	}
	var names []string
	for _, tt := range tests {
		names = append(names, tt.name)
		if tt.stored != "" {
			s.Do(t, "SET", tt.name, tt.stored, "EX", 60)
		}
	}
	before := time.Now()
	readings := read(t, r, names...)
	for i, tt := range tests {
		got := readings[i]
		if got.State != tt.state || got.Value != tt.value {
			t.Errorf("%s: read %+v, want state %d and value %v", tt.name, got, tt.state, tt.value)
		}
		if got.WrongType != (tt.name == "list") {
			t.Errorf("%s: of another type: %v", tt.name, got.WrongType)
		}
		if got.State == budget.CounterPresent && (got.TTL <= 0 || got.TTL > time.Minute) {
			t.Errorf("%s: TTL is %s, want up to a minute", tt.name, got.TTL)
		}
		if got.ReadAt.Before(before) || got.ReadAt.After(time.Now()) {
			t.Errorf("%s: read at %s, not during the reading", tt.name, got.ReadAt)
		}
	}
	if got := read(t, r, "forever")[0]; got.TTL != budget.NoExpiry || got.Value != 1 {
		t.Errorf("a counter without expiry is read as %+v", got)
	}
}

func TestEmptyValueIsUnreadable(t *testing.T) {
	s := redistest.Standalone(t)
	s.Do(t, "SET", "empty", "")
	if got := read(t, open(t, s.Addr, nil), "empty")[0]; got.State != budget.CounterUnreadable {
		t.Errorf("an empty value is read as %+v", got)
	}
}

func TestReadOfNothing(t *testing.T) {
	s := redistest.Standalone(t)
	read(t, open(t, s.Addr, nil))
}

func TestReadsTheDatabaseInTheOptions(t *testing.T) {
	s := redistest.Standalone(t, "databases 3")
	db2 := func(db int) func(*counters.Options) { return func(o *counters.Options) { o.DB = db } }
	admin := s.Client(t).Conn()
	defer func() { _ = admin.Close() }()
	admin.Select(t.Context(), 2)
	admin.Set(t.Context(), "spend:key:a", "2", time.Minute)

	if got := read(t, open(t, s.Addr, db2(2)), "spend:key:a")[0]; got.Value != 2 {
		t.Errorf("database 2: %+v", got)
	}
	if got := read(t, open(t, s.Addr, nil), "spend:key:a")[0]; got.State != budget.CounterAbsent {
		t.Errorf("database 0: %+v, want absent", got)
	}
	_, err := open(t, s.Addr, db2(7)).Read(t.Context(), []string{"spend:key:a"})
	wantReason(t, err, counters.Other)
}

func TestReadsAHundredThousandNames(t *testing.T) {
	s := redistest.Standalone(t)
	const n = 100_000
	names := fill(t, s, n)
	readings := read(t, open(t, s.Addr, nil), names...)
	for i, got := range readings {
		if got.State != budget.CounterPresent || got.Value != float64(i)/4 {
			t.Fatalf("%s: %+v, want %v", names[i], got, float64(i)/4)
		}
	}
}

func TestNoCommandOccupiesRedisForAMillisecond(t *testing.T) {
	s := redistest.Standalone(t)
	names := fill(t, s, 20_000)
	s.Do(t, "CONFIG", "RESETSTAT")
	r := open(t, s.Addr, nil)
	read(t, r, names...)
	for range 100 { // so that a pause of the whole Redis, on a busy machine, weighs little in what one takes on average
		if _, err := r.BufferLengths(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	stats := fmt.Sprint(s.Do(t, "INFO", "commandstats"))
	for _, command := range []string{"get", "pttl", "llen"} {
		if got := statMicroseconds(t, stats, command); math.IsNaN(got) || got > 1000 {
			t.Errorf("one %s takes Redis %v microseconds", command, got)
		}
	}
}
