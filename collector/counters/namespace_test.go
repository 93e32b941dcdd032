package counters_test

import (
	"bytes"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"

	"litellm_budget_exporter/collector/budget"
	"litellm_budget_exporter/collector/counters"
	"litellm_budget_exporter/collector/counters/redistest"
)

func inNamespace(ns string) func(*counters.Options) {
	return func(o *counters.Options) { o.Namespace = ns }
}

func TestFormOfTheNames(t *testing.T) {
	const absent = -1.0
	tests := []struct {
		name      string
		namespace string
		stored    map[string]string
		form      counters.Form
		a, b      float64 // of spend:key:a and spend:key:b
	}{
		{"no namespace", "", map[string]string{"spend:key:a": "1"}, counters.Bare, 1, absent},
		{"no namespace, prefixed ones of others", "", map[string]string{"ns:spend:key:a": "1"}, counters.Bare, absent, absent},
		{"prefixed", "ns", map[string]string{"ns:spend:key:a": "1"}, counters.Prefixed, 1, absent},
		{"bare", "ns", map[string]string{"spend:key:a": "1"}, counters.Bare, 1, absent},
		{"never a mixture", "ns", map[string]string{"ns:spend:key:a": "1", "spend:key:b": "2"}, counters.Prefixed, 1, absent},
		{"as many of both", "ns", map[string]string{"ns:spend:key:a": "1", "spend:key:a": "2"}, counters.Prefixed, 1, absent},
		{"one prefixed left behind", "ns", map[string]string{"ns:spend:key:a": "1", "spend:key:a": "2", "spend:key:b": "2"}, counters.Bare, 2, 2},
		{"nothing", "ns", nil, counters.Unprobed, absent, absent},
		{"bare up to 1.99.4", "spend", map[string]string{"spend:key:a": "1"}, counters.Bare, 1, absent},
		{"prefixed from 1.101.0 on", "spend", map[string]string{"spend:spend:key:a": "1"}, counters.Prefixed, 1, absent},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := redistest.Standalone(t)
			for key, value := range tt.stored {
				s.Do(t, "SET", key, value, "EX", 60)
			}
			r := open(t, s.Addr, inNamespace(tt.namespace))
			for i, got := range read(t, r, "spend:key:a", "spend:key:b") {
				want := []float64{tt.a, tt.b}[i]
				if (got.State == budget.CounterAbsent) != (want == absent) || (want != absent && got.Value != want) {
					t.Errorf("counter %d is read as %+v, want %v", i, got, want)
				}
			}
			if got := r.Form(); got != tt.form {
				t.Errorf("form is %q, want %q", got, tt.form)
			}
		})
	}
}

func TestPrefixedCountersWinAsSoonAsTheyAppear(t *testing.T) {
	s := redistest.Standalone(t)
	r := open(t, s.Addr, inNamespace("spend"))
	s.Do(t, "SET", "spend:key:a", "1") // left behind for ever
	read(t, r, "spend:key:a")
	s.Do(t, "SET", "spend:spend:key:a", "2", "EX", 60)
	if got := read(t, r, "spend:key:a")[0]; got.Value != 2 || r.Form() != counters.Prefixed {
		t.Errorf("read %+v in form %q, want the prefixed 2", got, r.Form())
	}
}

func TestCounterLeftBehindDoesNotHideThoseOfTheOtherForm(t *testing.T) {
	s := redistest.Standalone(t)
	var log bytes.Buffer
	r := open(t, s.Addr, func(o *counters.Options) {
		o.Namespace, o.Logger = "spend", slog.New(slog.NewTextHandler(&log, nil))
	})
	all := []string{"spend:key:a", "spend:key:b", "spend:key:c"}
	s.Do(t, "SET", "spend:spend:key:a", "9") // left behind for ever
	if read(t, r, all...); r.Form() != counters.Prefixed {
		t.Fatalf("form is %q while nothing else is there", r.Form())
	}
	for _, name := range all {
		s.Do(t, "SET", name, "1", "EX", 600)
	}
	counters.AgeForm(r)
	if read(t, r, "spend:key:a"); r.Form() != counters.Prefixed {
		t.Errorf("a reading of one counter made the form %q", r.Form())
	}
	check := func() {
		t.Helper()
		for _, got := range read(t, r, all...) {
			if got.Value != 1 || r.Form() != counters.Bare {
				t.Errorf("read %+v in form %q, want the bare ones", got, r.Form())
			}
		}
	}
	check()
	s.Do(t, "DEL", "spend:key:a")
	if got := read(t, r, "spend:key:a")[0]; got.State != budget.CounterAbsent || r.Form() != counters.Bare {
		t.Errorf("a cold one is read as %+v in form %q", got, r.Form())
	}
	s.Do(t, "SET", "spend:key:a", "1", "EX", 600)
	check()
	if n := strings.Count(log.String(), "prefixed=1 bare=3 used=bare"); n != 1 || strings.Count(log.String(), "WARN") != 1 {
		t.Errorf("that both forms are there is told %d times: %s", n, log.String())
	}
}

func TestColdPrefixedCountersAreNoReasonToReadBareOnes(t *testing.T) {
	s := redistest.Standalone(t)
	r := open(t, s.Addr, inNamespace("ns"))
	s.Do(t, "SET", "ns:spend:key:a", "1", "EX", 60)
	s.Do(t, "SET", "spend:key:b", "2") // of another LiteLLM in the same Redis
	read(t, r, "spend:key:a")
	if got := read(t, r, "spend:key:b")[0]; got.State != budget.CounterAbsent || r.Form() != counters.Prefixed {
		t.Errorf("read %+v in form %q, want an absent prefixed one", got, r.Form())
	}
}

func TestFormIsGivenUpWhenItsCountersAreGone(t *testing.T) {
	s := redistest.Standalone(t)
	r := open(t, s.Addr, inNamespace("ns"))
	s.Do(t, "SET", "ns:spend:key:a", "1", "EX", 60)
	read(t, r, "spend:key:a")
	s.Do(t, "DEL", "ns:spend:key:a")
	s.Do(t, "SET", "spend:key:a", "2", "EX", 60)

	counters.AgeForm(r)
	if got := read(t, r, "spend:key:a")[0]; got.Value != 2 || r.Form() != counters.Bare {
		t.Errorf("read %+v in form %q, want the bare 2", got, r.Form())
	}
	s.Do(t, "DEL", "spend:key:a")
	read(t, r, "spend:key:a")
	if r.Form() != counters.Bare {
		t.Errorf("form is %q right after the last bare counter, want bare", r.Form())
	}
	counters.AgeForm(r)
	read(t, r, "spend:key:a")
	if r.Form() != counters.Unprobed {
		t.Errorf("form is %q without any counter, want none", r.Form())
	}
}

func TestNamespaceWithoutGrantForPrefixedCounters(t *testing.T) {
	s := redistest.Standalone(t, "user bare_only on >pw ~spend:* -@all +get +pttl")
	_, err := open(t, s.Addr, func(o *counters.Options) {
		o.Username, o.Password, o.Namespace = "bare_only", password("pw"), "ns"
	}).Read(t.Context(), []string{"spend:key:a"})
	if wantReason(t, err, counters.NoPerm); !strings.Contains(err.Error(), "+get") {
		t.Errorf("%v does not say what to grant", err)
	}
}

func TestFailedReadingTellsNothingAboutTheForm(t *testing.T) {
	var failing atomic.Bool
	address := fakeRedis(t, func(command []string) string {
		prefixed := strings.HasPrefix(command[len(command)-1], "ns:")
		switch {
		case command[0] == "hello":
			return "*0\r\n"
		case prefixed && failing.Load():
			return "-LOADING Redis is loading the dataset in memory\r\n"
		case command[0] == "get":
			return "$1\r\n1\r\n"
		}
		return ":60000\r\n"
	})
	known, unprobed := open(t, address, inNamespace("ns")), open(t, address, inNamespace("ns"))
	read(t, known, "spend:key:a")
	counters.AgeForm(known)
	failing.Store(true)
	for r, form := range map[*counters.Reader]counters.Form{known: counters.Prefixed, unprobed: counters.Unprobed} {
		readings, err := r.Read(t.Context(), []string{"spend:key:a"})
		wantReason(t, err, counters.Loading)
		if readings[0].State != budget.CounterUnread || r.Form() != form {
			t.Errorf("read %+v in form %q, want nothing, and the form as it was, %q", readings[0], r.Form(), form)
		}
	}
}
