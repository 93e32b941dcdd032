package explain

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"litellm_budget_exporter/collector/budget"
)

// knowledge is what is known of a cause, whoever it hits.
type knowledge struct {
	text     func(subject, evidence) string // what happened
	releases string                         // which suffer from it
	issues   []int                          // of BerriAI/litellm
	remedies []remedy                       // what works soonest first
	low      bool                           // it leaves the counter below the row, rather than above it
}

// evidence is the numbers that speak for a cause, by name.
type evidence map[string]float64

// about writes a sentence with a number in it, or another one where the number is not among the evidence.
func (e evidence) about(name, with string, write func(float64) string, without string) string {
	if v, ok := e[name]; ok {
		return fmt.Sprintf(with, write(v))
	}
	return without
}

func said(text string) func(subject, evidence) string {
	return func(subject, evidence) string { return text }
}

func length(seconds float64) string { return span(time.Duration(seconds * float64(time.Second))) }

// known is the knowledge about every cause.
var known = map[budget.Cause]knowledge{
	budget.ReseedMultiple: {
		text: func(_ subject, e evidence) string {
			if _, jumped := e["jump_usd"]; jumped {
				return e.about("jump_usd", "Between two readings the counter rose by %s at once, about what the row said: LiteLLM added the row's spend to it, "+
					"as this release does when it finds no counter, or cannot read it.", Amount, "")
			}
			holds := e.about("copies", "The counter holds %s", func(n float64) string { return plural(n, "copy of the row's spend", "copies of the row's spend") },
				"The counter holds the row's spend several times")
			if _, seen := e["counter_at_seed_usd"]; seen {
				return holds + ". It was gone and came back like that: worker processes that found none at the same moment each added what the row said, where one of them should have set it."
			}
			return holds + ". So it does when it has expired and worker processes that find none at the same moment each add what the row says, where one of them should set it."
		},
		releases: "1.83.14, 1.84.0, 1.85.0 and 1.86.0 to 1.86.2; not 1.84.1 and later of its line, 1.86.3, and 1.87.5 and later",
		issues:   []int{27735, 28247, 28248, 28283, 28590},
		remedies: []remedy{raiseCap, letExpire, deleteCounter, upgrade("1.87.5", "(and in 1.84.1 and 1.86.3 of their lines) one worker sets the counter, and the others leave it as it is")},
	},
	budget.StaleAfterReset: {
		text: func(_ subject, e evidence) string {
			return e.about("reported_before_reset_usd", "The budget was reset, when the row stood at %s, but not the counter: it still holds what was spent before.",
				Amount, "The budget was reset, but not the counter: it still holds what was spent before.")
		},
		releases: "the scheduled job: up to 1.102.4, when its write to Redis failed; /key/…/reset_spend: up to 1.88.0 always, later when its write to Redis failed",
		issues:   []int{28961, 29576, 29694, 30001, 30002, 38686, 39726, 39729, 40940},
		remedies: []remedy{raiseCap, deleteCounter, letExpire, resetSpend, longerTimeout, upgrade("1.103.11", "the scheduled job deletes the counter, and says so in the log when it cannot")},
	},
	budget.ResetUndone: {
		text:     said("The budget was reset and the counter with it, and then a worker that still held what was spent before raised the counter back to that."),
		releases: "1.90.0 and later: time windows of busy keys and teams; every scope with fail_closed_budget_enforcement",
		issues:   []int{36941},
		remedies: []remedy{raiseCap, deleteCounter, letExpire},
	},
	budget.ManualSpendEdit: {
		text: func(_ subject, e evidence) string {
			return e.about("edit_usd", "The reported spend was changed by %s at once, through the API or in the database, and the counter did not follow: it keeps its value until it expires.",
				func(v float64) string { return signed(&v) },
				"The reported spend was changed at once, through the API or in the database, and the counter did not follow: it keeps its value until it expires.")
		},
		releases: "teams, and edits in the database: all; keys: up to 1.88.0, 1.90 with a namespace, later when the write to Redis failed",
		issues:   []int{30776, 30785},
		remedies: []remedy{raiseCap, letExpire, deleteCounter},
	},
	budget.PinnedAtCap: {
		text: func(_ subject, e evidence) string {
			return e.about("pinned_seconds", "The counter has stood at the cap for %s: the reservation of a request was shrunk to what was left, and until that request is answered nothing else fits.",
				length, "The counter stands at the cap: the reservation of a request was shrunk to what was left, and until that request is answered nothing else fits.")
		},
		releases: "1.84.0 and later; from 1.104.0 on for as long as the request takes",
		issues:   []int{30330, 36926, 38647},
		remedies: []remedy{await, raiseCap, noReservations},
	},
	budget.ReservationLeak: {
		text: said("Reservations of requests were never given back: the counter holds more than was spent, in steps that have nothing to do with it. " +
			"Requests that were cancelled or lost with their proxy do that."),
		releases: "1.84.0 and later, if a proxy is killed; cancelled requests: up to 1.88.0, those cut off in the middle of a stream up to 1.90.7 at least (not in 1.101.6); refused realtime sessions: up to 1.99.4; routes that log no cost: up to 1.103.11",
		issues:   []int{27639, 30330, 30519, 30522, 35569, 39851},
		remedies: []remedy{raiseCap, letExpire, deleteCounter, noReservations, upgrade("1.104.0", "only a proxy that dies with requests in flight leaks")},
	},
	budget.DoubleApply: {
		text:     said("The counter rises by more than is spent, at the pace of the spending: costs are added twice, as when the Redis client sends an increment again after a timeout although Redis had taken it."),
		releases: "any; likely up to 1.106.10, where LiteLLM gives Redis 0.1 s to answer (5 s from 1.108.5)",
		issues:   []int{30460},
		remedies: []remedy{raiseCap, letExpire, deleteCounter, longerTimeout},
	},
	budget.CounterLost: {
		text: func(_ subject, e evidence) string {
			return e.about("counters_fallen", "Redis lost what the counters held, as in a restart or a failover: %s fell at once, while the rows kept what was spent.",
				func(n float64) string { return plural(n, "counter", "counters") },
				"Redis lost what the counter held, as in a restart or a failover, while the row kept what was spent.")
		},
		releases: "up to 1.88.0; from 1.90.0 on the next request raises a counter below its cap, except where there is no cap",
		issues:   []int{30684},
		remedies: []remedy{block, deleteCounter, upgrade("1.90.0", "the next request raises a counter that is below its cap and below the row")},
		low:      true,
	},
	budget.CounterRestart: {
		text:     said("The counter comes back near 0 about every minute: this release lets it expire a minute after its first write, and then adds to nothing."),
		releases: "1.83.3 to 1.83.14",
		remedies: []remedy{block, upgrade("1.84.1", "every write renews the counter's life, and one that is gone begins from the row")},
		low:      true,
	},
	budget.GhostRefund: {
		text:     said("A reservation was given back to a counter that had been reset, deleted or had expired since it was made, and so took away what was never in it."),
		releases: "1.84.0 and later; from 1.90.0 on the next request raises a counter below its cap again",
		remedies: []remedy{block, deleteCounter, noReservations},
		low:      true,
	},
	budget.Undercount: {
		text:     said("Cost reached the row that never reached the counter."),
		releases: "1.90.0 to 1.101.6, when a counter is gone at the end of a request; 1.103.11 and later, after trouble with Redis",
		issues:   []int{30039, 35570},
		remedies: []remedy{block, deleteCounter, upgrade("1.102.4", "no cost is dropped at the end of a request")},
		low:      true,
	},
	budget.Immortal: {
		text:     said("The counter has no end of life. LiteLLM writes a value and its expiry in two steps and was cut off between them. Only the next write gives it one, and none came: a refused request writes nothing, nor does an idle client."),
		releases: "1.83.3 to 1.101.6; hardly from 1.102.4 on",
		issues:   []int{40715, 40956},
		remedies: []remedy{raiseCap, giveLife, deleteCounter, upgrade("1.102.4", "value and expiry are written in one step")},
	},
	budget.Negative: {
		text:     negative,
		releases: "the counter: 1.84.0 to 1.101.6; the row: 1.103.11 to 1.108.5, and 1.109.1",
		issues:   []int{30330},
		remedies: []remedy{setSpend, deleteCounter, guardedCounter, guardedRow},
	},
	budget.Unexplained: {
		text:     said("No known failure mode explains it by what was seen so far."),
		releases: "not known",
		remedies: []remedy{raiseCap, block, letExpire, deleteCounter, record},
	},
}

// cause explains the cause of an entity.
func (s subject) cause() *Cause {
	e := s.Entity.Entity
	k := known[e.Cause]
	found := evidence{}
	for _, v := range e.Evidence {
		found[v.Name] = v.Value
	}
	c := &Cause{
		Name: e.Cause, Confidence: e.Confidence, Evidence: found,
		Text: k.text(s, found), Releases: k.releases, Issues: append([]int{}, k.issues...),
	}
	affected := budget.Affected(s.release().Version, e.Cause)
	if e.Cause == budget.Negative && affected.Value && (e.Reported.Value < 0) != s.rowsFallBelowZero() { // it is the other side that suffers
		affected = budget.Optional[bool]{}
	}
	if affected.Known {
		c.Affected = &affected.Value
	}
	if e.Cause == budget.Unexplained {
		c.Text = s.unexplained(c.Text)
	}
	return c
}

// negative says which number is below 0, and what can be spent because of it. A row below 0 takes the counter with it,
// which is begun from it.
func negative(s subject, e evidence) string {
	reported, known := e["reported_usd"]
	capped := s.Entity.Entity.Cap.State != budget.CapUnlimited
	text, more := "The counter is below 0: more was given back than had been added.", " As much can be spent past the cap."
	switch release := s.release(); {
	case known && reported < 0:
		text = "The row is below 0: a reset took away more than was there, or somebody set it so. A counter begun from it is as low."
	case release.AtLeast("1.90.0"):
		more = " The next request raises it to the row."
	case !release.OlderThan("1.90.0"): // not known
		more = " Up to 1.88.0 as much can be spent past the cap; from 1.90.0 on the next request raises it to the row."
	}
	if !capped {
		return text
	}
	return text + more
}

// unexplained says what could be behind it. A row that is short looks like a counter that is too high.
func (s subject) unexplained(text string) string {
	const short = " Or the row is short: the counter is right if spend was lost on its way to the database (BerriAI/litellm #33872)."
	switch stalled := s.in.Snapshot.FleetCauses[budget.FlushStalled]; {
	case s.Entity.Entity.Divergence.Value < 0:
		return text + s.candidates("can")
	case stalled:
		return "The stalled flush can be all of it: the row lacks what was spent since." + s.candidates("else can")
	}
	return text + s.candidates("can") + short
}

// candidates names what could be behind an unexplained divergence: what the release in use can suffer from, and what
// leaves the counter on this side of the row.
func (s subject) candidates(can string) string {
	low := s.Entity.Entity.Divergence.Value < 0
	side := map[bool]string{true: "below", false: "above"}[low]
	var names []string
	for _, c := range budget.Causes {
		affected := budget.Affected(s.release().Version, c)
		switch c {
		case budget.Immortal, budget.Negative, budget.PinnedAtCap, budget.Unexplained: // these are told by one look, or tell nothing
			continue
		}
		fits := known[c].low == low || c == budget.ManualSpendEdit
		if fits && (!affected.Known || affected.Value) {
			names = append(names, string(c))
		}
	}
	if len(names) == 0 {
		return ""
	}
	return " What " + can + " leave a counter " + side + " its row in this release: " + list(names) + ". None of them was seen to begin."
}

// Sure says in words how sure a cause is.
func (c *Cause) Sure() string {
	if c.Name == budget.Unexplained {
		return ""
	}
	return sure(c.Confidence)
}

func sure(confidence float64) string {
	percent := strconv.Itoa(int(math.Round(100*confidence))) + " %"
	switch {
	case confidence >= 0.9:
		return "almost certain, " + percent
	case confidence >= 0.7:
		return "likely, " + percent
	case confidence > 0.5:
		return "more likely than not, " + percent
	case confidence == 0.5:
		return "as likely as not, " + percent
	}
	return "a guess, " + percent
}

// Numbers writes the evidence for a person.
func (c *Cause) Numbers() string { return numbers(c.Evidence) }

func numbers(evidence map[string]float64) string {
	var texts []string
	for _, name := range slices.Sorted(maps.Keys(evidence)) {
		v := evidence[name]
		switch since, isSince := strings.CutPrefix(name, "seconds_since_"); {
		case isSince:
			texts = append(texts, words(since)+" "+length(v)+" ago")
		case strings.HasSuffix(name, "_seconds"):
			texts = append(texts, words(strings.TrimSuffix(name, "_seconds"))+" for "+length(v))
		case strings.HasSuffix(name, "_usd"):
			texts = append(texts, words(strings.TrimSuffix(name, "_usd"))+" "+Amount(v))
		default:
			texts = append(texts, words(strings.Replace(name, "_by_", " / ", 1))+" "+strconv.FormatFloat(math.Round(v*1e4)/1e4, 'f', -1, 64))
		}
	}
	return strings.Join(texts, "; ")
}

// Suffers says what is known of the release in use.
func (c *Cause) Suffers(l LiteLLM) string {
	release := "LiteLLM " + string(l.Version)
	if l.Version == "" {
		release = "The LiteLLM release in use, which could not be detected,"
	}
	switch {
	case c.Affected == nil:
		return "Whether " + strings.Replace(release, "The ", "the ", 1) + " suffers from it is not known."
	case *c.Affected:
		return release + " suffers from it."
	}
	return release + " is not known to suffer from it."
}
