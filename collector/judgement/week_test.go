package judgement_test

import (
	"flag"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"litellm_budget_exporter/collector/budget"
	"litellm_budget_exporter/examples/simulator"
)

// resetInterval is how often LiteLLM's reset job comes by.
const resetInterval = 10 * time.Minute

// pattern is how the traffic of a key looks.
type pattern struct {
	busy, idle time.Duration // it alternates between the two
	every      time.Duration // between two requests while it is busy
	burst      int           // requests at once
	cost       float64       // USD
	estimate   float64       // USD reserved for a request of that cost
	takes      time.Duration // at most
}

// send makes the traffic of a key.
func (f *fleet) sends(hash string, p pattern) {
	next := f.began
	turn := f.began.Add(p.busy)
	busy := true
	f.traffic = append(f.traffic, func(now time.Time) {
		if !now.Before(turn) {
			busy = !busy
			length := p.busy
			if !busy {
				length = p.idle
			}
			turn = now.Add(f.vary(length))
		}
		if !busy || now.Before(next) {
			return
		}
		next = now.Add(f.vary(p.every))
		for range p.burst {
			factor := 0.5 + f.random.Float64()
			f.send(time.Duration(f.random.Float64()*float64(p.takes)), simulator.Request{
				Key: hash, Worker: f.random.IntN(8), Cost: p.cost * factor, Estimate: p.estimate * factor * f.priced(now),
			})
		}
	})
}

// priced is 0 shortly before LiteLLM's reset job comes by, else 1: a reservation that is in flight at a reset is settled
// against the counter of after it (a failure of LiteLLM's, and no healthy fleet).
func (f *fleet) priced(now time.Time) float64 {
	if f.resetless {
		return 1
	}
	if untilReset := resetInterval - now.Sub(f.began)%resetInterval; untilReset <= time.Minute {
		return 0
	}
	return 1
}

func (f *fleet) vary(d time.Duration) time.Duration {
	return time.Duration(float64(d) * (0.5 + f.random.Float64()))
}

// healthy adds a fleet in which nothing is wrong, for all that goes on in it.
func (f *fleet) healthy() {
	f.team(simulator.Team{ID: "team", MaxBudget: new(50_000.0), BudgetDuration: "1d", ResetAt: f.began.Add(3 * time.Hour)})
	f.team(simulator.Team{ID: "uncapped"})
	for _, p := range []struct {
		name string
		pattern
		limit  *float64
		spend  float64
		resets string
		team   string
	}{
		{"a: heavy traffic", pattern{30 * time.Minute, 8 * time.Hour, 10 * time.Second, 8, 0.05, 0.2, 10 * time.Second}, new(5000.0), 0, "1d", "team"},
		{"b: heavy traffic, reset hourly", pattern{time.Hour, 9 * time.Hour, 10 * time.Second, 3, 0.2, 0.8, 5 * time.Second}, new(2000.0), 0, "1h", "team"},
		{"c: mostly cold", pattern{time.Minute, 3 * time.Hour, 20 * time.Second, 1, 0.02, 0.1, 5 * time.Second}, new(100.0), 3.5, "1d", "uncapped"},
		{"d: bursts of large reservations", pattern{2 * time.Minute, 2 * time.Hour, 40 * time.Second, 6, 0.02, 1.5, 25 * time.Second}, new(500.0), 12, "7d", "team"},
		{"e: without a cap", pattern{time.Hour, 9 * time.Hour, 15 * time.Second, 2, 0.3, 0.9, 10 * time.Second}, nil, 40, "", "uncapped"},
		{"f: stops and goes", pattern{90 * time.Second, 4 * time.Minute, 30 * time.Second, 2, 0.4, 1, 20 * time.Second}, new(9000.0), 0, "1d", ""},
		{"g: few, dear and long", pattern{10 * time.Minute, 4 * time.Hour, 3 * time.Minute, 1, 2, 6, 50 * time.Second}, new(5000.0), 10, "1d", "team"},
		{"h: slows down", pattern{20 * time.Minute, 5 * time.Hour, 10 * time.Second, 1, 0.001, 0.004, time.Second}, new(50.0), 5, "1h", "team"},
		{"i: never used", pattern{}, new(10.0), 9.5, "", ""},
	} {
		k := simulator.Key{Raw: "sk-" + p.name, MaxBudget: p.limit, Spend: p.spend, TeamID: p.team, BudgetDuration: p.resets}
		if p.resets != "" {
			k.ResetAt = f.began.Add(time.Hour)
		}
		hash := f.key(k)
		if p.every > 0 {
			f.sends(hash, p.pattern)
		}
	}
}

// exhausted adds keys that spend their budget every hour and are refused until the next, truly.
func (f *fleet) exhausted() {
	for _, p := range []struct {
		name string
		pattern
		limit float64
	}{
		{"j: all the time", pattern{24 * time.Hour, time.Minute, 10 * time.Second, 3, 0.1, 0.4, 10 * time.Second}, 20},
		{"k: with pauses", pattern{10 * time.Minute, 10 * time.Minute, 5 * time.Second, 1, 0.05, 0.05, 2 * time.Second}, 5},
		{"l: by the first request after a pause", pattern{4 * time.Minute, 3 * time.Minute, 20 * time.Second, 1, 0.06, 0.1, 2 * time.Second}, 2},
		{"m: fast", pattern{10 * time.Minute, 20 * time.Minute, 5 * time.Second, 8, 0.1, 0.1, 2 * time.Second}, 30},
	} {
		f.sends(f.key(simulator.Key{
			Raw: "sk-" + p.name, MaxBudget: &p.limit, BudgetDuration: "1h", ResetAt: f.began.Add(time.Hour),
		}), p.pattern)
	}
}

func TestAHealthyWeek(t *testing.T) {
	for name, o := range map[string]simulator.Options{
		"1.84.0":                 {Release: "1.84.0", Workers: 3, Seed: 1},
		"1.90.7, flush of 60 s":  {Release: "1.90.7", Workers: 3, Seed: 2, FlushInterval: 55 * time.Second},
		"1.101.6":                {Release: "1.101.6", Workers: 3, Seed: 3},
		"1.109.1, flush of 60 s": {Release: "1.109.1", Workers: 3, Seed: 4, FlushInterval: 55 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFleet(t, o)
			f.healthy()
			f.accusesNobody()
			f.run(7 * 24 * time.Hour)
		})
	}
}

func TestExhaustedIsNotFalselyLocked(t *testing.T) {
	for name, o := range map[string]simulator.Options{
		"1.84.0, flush of 60 s":             {Release: "1.84.0", Workers: 3, Seed: 100, FlushInterval: 55 * time.Second},
		"1.90.7, flush of 30 s, many pods":  {Release: "1.90.7", Workers: 8, Seed: 101, FlushInterval: 28 * time.Second},
		"1.109.1":                           {Release: "1.109.1", Workers: 3, Seed: 102},
		"1.109.1, flush of 60 s, many pods": {Release: "1.109.1", Workers: 8, Seed: 100, FlushInterval: 55 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFleet(t, o)
			f.exhausted()
			f.healthy()
			f.accusesNobody()
			f.run(24 * time.Hour)
		})
	}
}

// TestBurstsInKnownTraffic has requests with large reservations begin under a traffic that was the same for half an hour.
func TestBurstsInKnownTraffic(t *testing.T) {
	for _, reserved := range []float64{4, 20, 100} { // times the cost
		for _, takes := range []time.Duration{20 * time.Second, 50 * time.Second} {
			for _, every := range []time.Duration{5 * time.Second, 40 * time.Second, 5 * time.Minute} {
				for _, burst := range []int{1, 5} {
					for _, flush := range []time.Duration{10 * time.Second, 55 * time.Second} {
						t.Run(fmt.Sprintf("%d of %v times the cost and %v every %v, flush of %v", burst, reserved, takes, every, flush), func(t *testing.T) {
							t.Parallel()
							f := newFleet(t, simulator.Options{Release: "1.84.0", Workers: 3, Seed: 7, FlushInterval: flush})
							f.calm()
							f.accusesNobody()
							key := f.key(simulator.Key{MaxBudget: new(500_000.0), Spend: 2})
							f.sends(key, pattern{24 * time.Hour, 0, 5 * time.Second, 2, 0.05, 0.05, 2 * time.Second})
							f.run(30 * time.Minute)
							f.sends(key, pattern{24 * time.Hour, 0, every, burst, 0.05, 0.05 * reserved, takes})
							f.run(15 * time.Minute)
						})
					}
				}
			}
		}
	}
}

// moreFleets has TestHealthyFleetsAtRandom measure how often somebody is accused. A counter below its row is then no
// mistake: with so many seeds LiteLLM itself loses spend at some reset.
var moreFleets = flag.Int("more-fleets", 0, "how many fleets more, with seeds from 50000 on, TestHealthyFleetsAtRandom has of each kind")

// randomness is what the fleets of TestHealthyFleetsAtRandom have in common.
type randomness struct {
	reserved float64 // by how many times the cost, at most
	takes    float64 // seconds, at most
	traffics int     // of a key
	steady   bool    // all of it never pauses, and no key is ever reset
}

// TestHealthyFleetsAtRandom has fleets of keys of any price, pace, burst, size of reservation and length of requests, whose
// traffic is of one kind or of two that come and go.
func TestHealthyFleetsAtRandom(t *testing.T) {
	for name, c := range map[string]struct {
		randomness
		seeds []uint64
	}{
		"usual":        {randomness{reserved: 4, takes: 30, traffics: 1}, []uint64{0, 1, 2, 3, 10134, 10171, 10179}},
		"two traffics": {randomness{reserved: 4, takes: 30, traffics: 2}, []uint64{0, 1, 2, 3, 30060, 30224, 30328, 30411}},
		"steady":       {randomness{reserved: 4, takes: 30, traffics: 1, steady: true}, []uint64{0, 1, 2, 3, 4, 5, 6, 7}},
		"extreme":      {randomness{reserved: 12, takes: 50, traffics: 1}, []uint64{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 4263, 4286, 4343}},
	} {
		for more := range *moreFleets {
			c.seeds = append(c.seeds, 50_000+uint64(more))
		}
		for _, seed := range c.seeds {
			t.Run(fmt.Sprintf("%s/%d", name, seed), func(t *testing.T) {
				t.Parallel()
				f := randomFleet(t, seed, c.randomness)
				f.accusesNobody()
				f.run(4 * time.Hour)
			})
		}
	}
}

func randomFleet(t *testing.T, seed uint64, c randomness) *fleet {
	t.Helper()
	r := rand.New(rand.NewPCG(seed, 10))
	f := newFleet(t, simulator.Options{
		Release: []string{"1.84.0", "1.90.7", "1.101.6", "1.109.1"}[r.IntN(4)], Workers: 1 + r.IntN(8), Seed: seed,
		FlushInterval: []time.Duration{10 * time.Second, 28 * time.Second, 55 * time.Second}[r.IntN(3)],
	})
	between := func(a, b float64) float64 { return a * math.Pow(b/a, r.Float64()) }
	seconds := func(a, b float64) time.Duration { return time.Duration(between(a, b) * float64(time.Second)) }
	f.resetless = c.steady
	f.team(simulator.Team{ID: "team", MaxBudget: new(50_000.0)})
	for i := range 12 {
		cost := between(0.001, 1)
		var patterns []pattern
		atOnce := 0.0 // USD, reserved
		for range c.traffics {
			p := pattern{
				busy: seconds(30, 20_000), idle: seconds(30, 20_000), every: seconds(2, 120), burst: 1 + r.IntN(6),
				cost: cost, estimate: cost * between(1, c.reserved), takes: seconds(1, c.takes),
			}
			if c.steady {
				p.busy = 24 * time.Hour
			}
			atOnce += float64(p.burst) * p.estimate
			patterns = append(patterns, p)
		}
		limit := max(between(50, 100_000)*cost, 20*atOnce)
		k := simulator.Key{
			Raw: fmt.Sprint("sk-", i), MaxBudget: &limit, TeamID: []string{"", "team"}[r.IntN(2)],
			BudgetDuration: []string{"1h", "1d", "7d"}[r.IntN(3)], ResetAt: f.began.Add(time.Hour),
		}
		if c.steady {
			k.BudgetDuration, k.ResetAt = "", time.Time{}
		}
		key := f.key(k)
		for _, p := range patterns {
			f.sends(key, p)
		}
	}
	return f
}

// accusesNobody fails the test where a verdict says that something is wrong. Reservations in flight that fill up a budget
// are told, and count as no lock.
func (f *fleet) accusesNobody() {
	accused := map[string]bool{}
	f.changed = func(e *budget.Entity) {
		well := e.Verdict == budget.OK || e.Verdict == budget.NotJudged || e.Cause == budget.PinnedAtCap && !e.FalselyLockedLast.Known
		if !well && !accused[e.ID.Value] {
			accused[e.ID.Value] = true
			f.t.Errorf("%s", f.describe(e))
		}
	}
}
