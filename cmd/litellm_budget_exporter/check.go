package main

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"slices"
	"text/tabwriter"
	"time"
	"unicode/utf8"

	"litellm_budget_exporter/collector/budget"
	"litellm_budget_exporter/collector/explain"
)

// Exit codes of check.
const (
	exitNobody   = 0
	exitSomebody = 1
	exitUntold   = 2 // and nobody is known to
)

// check reads everything once, goes on until what was suspected then is settled, and prints who diverges.
func (p *program) check(ctx context.Context, output string) int {
	s, err := p.prepare()
	if err != nil {
		fmt.Fprintf(p.stderr, "%s: error: %s\n", name, err)
		return exitUntold
	}
	end := s.begin(ctx)
	result, err := s.settled(ctx)
	end()
	if err != nil {
		fmt.Fprintf(p.stderr, "%s: error: %s\n", name, err)
		return exitUntold
	}
	write := func(w io.Writer, c checked) error { return writeTable(w, c, s.poller.Standing) }
	if output == "json" {
		write = writeJSON
	}
	if err := write(p.stdout, result); err != nil {
		fmt.Fprintf(p.stderr, "%s: error: %s\n", name, err)
		return exitUntold
	}
	if why := result.untold(); why != "" {
		fmt.Fprintf(p.stderr, "%s: %s\n", name, why)
	}
	return result.exitCode()
}

// checked is the view of everything once it was read, and who was suspected by then and could not be settled in time.
type checked struct {
	*budget.Snapshot
	undecided []*budget.Entity
}

// settled waits until everything was read and nothing that was suspected by then is still open. What is suspected later
// is for the next time: in a busy fleet there is always something.
func (s *session) settled(ctx context.Context) (result checked, err error) {
	var whole time.Time
	err = s.wait(ctx, func(*budget.Snapshot) (bool, string) {
		if whole.IsZero() {
			if !s.poller.Progress().Whole {
				return false, s.readingText()
			}
			whole = time.Now()
		}
		view := s.poller.Snapshot() // made after everything was read
		result = checked{view, suspectedSince(view, whole)}
		open := len(result.undecided)
		return open == 0 || time.Since(whole) > s.patience(settledWithin), fmt.Sprintf("%d suspected, waiting for it to settle", open)
	})
	return result, err
}

// suspectedSince lists of whom something has been suspected since a time, or for longer.
func suspectedSince(s *budget.Snapshot, since time.Time) (found []*budget.Entity) {
	for _, scope := range budget.Scopes {
		for _, e := range s.Entities[scope] {
			if e.Suspected != nil && !e.Suspected.Since.After(since) {
				found = append(found, e)
			}
		}
	}
	return found
}

// untold says why nobody else can be told to be well; empty where everybody who can be judged was.
func (c checked) untold() string {
	judged := len(c.Fleets) > 0
	for _, f := range c.Fleets {
		judged = judged && f.FalselyLocked.Known
	}
	switch {
	case !c.readsRedis():
		return "nobody can be judged: no Redis is configured"
	case !judged:
		return "not everybody could be judged"
	case len(c.undecided) > 0:
		return fmt.Sprintf("of the keys and teams, %d are still suspected of something: check again", len(c.undecided))
	}
	return ""
}

func (c checked) readsRedis() bool {
	_, configured := c.Sources[budget.Redis]
	return configured
}

// exitCode is that of a whole answer where there is no Redis to be read: that was chosen, and is said.
func (c checked) exitCode() int {
	switch {
	case len(byHarm(c.Snapshot)) > 0 || fleetDiverges(c.Snapshot):
		return exitSomebody
	case c.readsRedis() && c.untold() != "":
		return exitUntold
	}
	return exitNobody
}

// fleetDiverges says that something is wrong with the fleet as a whole.
func fleetDiverges(s *budget.Snapshot) bool {
	for _, holds := range s.FleetCauses {
		if holds {
			return true
		}
	}
	return false
}

// verdictRank orders verdicts by harm, the worst first; 0 is no harm.
var verdictRank = map[budget.Verdict]int{budget.FalselyLocked: 1, budget.Bypassed: 2, budget.Diverging: 3}

// byHarm lists who has a verdict other than ok, the worst first.
func byHarm(s *budget.Snapshot) []*budget.Entity {
	var found []*budget.Entity
	for _, scope := range budget.Scopes {
		for _, e := range s.Entities[scope] {
			if verdictRank[e.Verdict] > 0 {
				found = append(found, e)
			}
		}
	}
	slices.SortStableFunc(found, func(a, b *budget.Entity) int {
		return cmp.Or(
			cmp.Compare(verdictRank[a.Verdict], verdictRank[b.Verdict]),
			cmp.Compare(math.Abs(b.Divergence.Value), math.Abs(a.Divergence.Value)),
		)
	})
	return found
}

// writeTable writes who diverges for a person, and what keeps the answer from being whole.
func writeTable(w io.Writer, c checked, of standings) error {
	accused := byHarm(c.Snapshot)
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	row := func(verdict string, e *budget.Entity) {
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", words(verdict), e.ID.Scope,
			short(cmp.Or(e.Names.Alias, e.ID.Value)), short(cmp.Or(team(e), "–")),
			usd(e.Reported), usd(e.Enforced), capText(e.Cap), signedUSD(e.Divergence), cmp.Or(string(e.Cause), "–"))
	}
	shown := slices.Clone(accused)
	for _, e := range c.undecided {
		if verdictRank[e.Verdict] == 0 {
			shown = append(shown, e)
		}
	}
	if len(shown) > 0 {
		fmt.Fprintln(table, "VERDICT\tSCOPE\tALIAS\tTEAM\tREPORTED\tENFORCED\tCAP\tDIVERGENCE\tCAUSE")
	}
	for i, e := range shown {
		if i < len(accused) {
			row(string(e.Verdict), e)
		} else {
			row(string(e.Suspected.Verdict)+"?", e)
		}
	}
	if err := table.Flush(); err != nil {
		return err
	}
	if len(shown) > 0 {
		fmt.Fprintf(w, "\nAll amounts are US dollars. Why, and what mends it: %s\n\n", explain.Command(nameOf(shown[0], c.Snapshot), ""))
	}
	_, err := io.WriteString(w, c.closing(len(accused), of))
	return err
}

// nameOf is the alias by which explain finds an entity, or its id where the alias is not its own, or is none that can be typed.
func nameOf(e *budget.Entity, s *budget.Snapshot) string {
	alias := e.Names.Alias
	if alias == "" || explain.Clean(alias) != alias || budget.HoldsRawKey(alias) {
		return e.ID.Value
	}
	if found, _ := find(s, alias); len(found) != 1 {
		return e.ID.Value
	}
	return alias
}

// closing sums up a check.
func (c checked) closing(accused int, of standings) string {
	s := c.Snapshot
	read, present, unknown := 0, 0, 0
	for _, f := range s.Fleets {
		read += f.Entities
		unknown += f.CapUnknown
		present += f.CountersPresent.Value
	}
	text := fmt.Sprintf("%d keys and teams read at %s, LiteLLM %s", read, s.At.UTC().Format("2006-01-02 15:04:05 UTC"), cmp.Or(s.Release.Version, "(release not detected)"))
	if s.Release.Assumed && s.Release.Version != "" {
		text += " (newer than what is known)"
	}
	switch _, redis := s.Sources[budget.Redis]; {
	case !redis:
		return text + ".\nNobody can be judged: no Redis is configured, so only the reported side is known.\n"
	case len(c.undecided) > 0:
		text += fmt.Sprintf(".\nSuspected (?) and not settled in time: %d. Check again", len(c.undecided))
	case c.untold() != "":
		return text + ".\nNot everybody could be judged.\n"
	case accused == 0:
		text += ": nobody is falsely locked, bypassed or diverging"
	}
	text += ".\n"
	if s.FleetCauses[budget.FlushStalled] {
		text += "LiteLLM's writing of spend to its database is stalled (flush_stalled): every row is behind.\n"
	}
	switch {
	case !s.Release.Rules.Counters:
		text += "LiteLLM keeps no counters before 1.83.3: it enforces the reported spend, up to a minute old in the memory of each proxy.\n"
	case s.FleetCauses[budget.NoSharedCounters]:
		text += "No counter anywhere although spend rises (no_shared_counters): wrong Redis, database or namespace, or LiteLLM keeps its counters elsewhere.\n"
	case present == 0 && read > 0:
		text += "There was no counter of anybody in Redis: nobody spent anything for a minute, or it is the wrong Redis, database or namespace.\n"
	}
	text += notJudged(s, of)
	if unknown > 0 {
		text += fmt.Sprintf("The cap of %d is not known: no verdict is given that depends on it.\n", unknown)
	}
	return text
}

// short is a name that leaves room for the others in a row.
func short(text string) string {
	const longest = 40
	text = explain.Clean(text)
	if utf8.RuneCountInString(text) > longest {
		return string([]rune(text)[:longest-1]) + "…"
	}
	return text
}

// The JSON form of a check. Unknown is null.
type (
	entityJSON struct {
		Scope      budget.Scope       `json:"scope"`
		ID         string             `json:"id"`
		Alias      explain.Name       `json:"alias"`
		Team       explain.Name       `json:"team"` // of a key
		TeamAlias  explain.Name       `json:"team_alias"`
		Reported   *float64           `json:"reported_usd"`
		Enforced   *float64           `json:"enforced_usd"`
		MaxBudget  *float64           `json:"max_budget_usd"`
		Divergence *float64           `json:"divergence_usd"`
		Tolerance  *float64           `json:"tolerance_usd"`
		Verdict    explain.Name       `json:"verdict"`
		Cause      explain.Name       `json:"cause"`
		Suspected  *explain.Suspicion `json:"suspected"`
		Confidence *float64           `json:"confidence"`
		Evidence   map[string]float64 `json:"evidence"`
	}

	fleetsJSON struct {
		Scopes map[budget.Scope]fleetJSON  `json:"scopes"`
		Causes map[budget.FleetCause]*bool `json:"causes"`
	}

	fleetJSON struct {
		Entities        int                  `json:"entities"`
		CapUnknown      int                  `json:"cap_unknown"`
		FalselyLocked   *int                 `json:"falsely_locked"`
		Bypassed        *int                 `json:"bypassed"`
		Diverging       map[budget.Cause]int `json:"diverging"` // by cause, those locked or bypassed included
		CountersPresent *int                 `json:"counters_present"`
		Reported        *float64             `json:"reported_sum_usd"`
		Enforced        *float64             `json:"enforced_sum_usd"`
	}
)

// writeJSON writes everybody for a script, an entity a line: who diverges first, by harm, then all others by scope
// and id.
func writeJSON(w io.Writer, c checked) error {
	s := c.Snapshot
	out := bufio.NewWriter(w)
	fmt.Fprintf(out, `{"litellm_version":%s,"checked_at":%s,"undecided":%d,"entities":[`,
		mustJSON(explain.Name(s.Release.Version)), mustJSON(s.At.UTC()), len(c.undecided))
	separator := "\n"
	write := func(e *budget.Entity) {
		fmt.Fprintf(out, "%s%s", separator, mustJSON(entityOf(e)))
		separator = ",\n"
	}
	for _, e := range byHarm(s) {
		write(e)
	}
	for _, scope := range budget.Scopes {
		for _, e := range s.Entities[scope] {
			if verdictRank[e.Verdict] == 0 {
				write(e)
			}
		}
	}
	fmt.Fprintf(out, "\n],\"fleet\":%s}\n", mustJSON(fleetsOf(s)))
	return out.Flush()
}

// mustJSON is for what always has a JSON form: numbers are finite where they are read.
func mustJSON(v any) []byte {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return text
}

func entityOf(e *budget.Entity) entityJSON {
	shown := entityJSON{
		Scope: e.ID.Scope, ID: e.ID.Value, Alias: explain.Name(e.Names.Alias),
		Reported: optional(e.Reported), Enforced: optional(e.Enforced), MaxBudget: optional(e.Cap.Exact()),
		Divergence: optional(e.Divergence), Tolerance: optional(e.Tolerance),
		Verdict: explain.Name(e.Verdict), Cause: explain.Name(e.Cause), Suspected: explain.SuspicionOf(e.Suspected),
	}
	if e.ID.Scope == budget.Key {
		shown.Team, shown.TeamAlias = explain.Name(e.Names.TeamID), explain.Name(e.Names.TeamAlias)
	}
	if e.Cause != budget.NoCause {
		shown.Confidence = &e.Confidence
		shown.Evidence = map[string]float64{}
		for _, v := range e.Evidence {
			shown.Evidence[v.Name] = v.Value
		}
	}
	return shown
}

func fleetsOf(s *budget.Snapshot) fleetsJSON {
	shown := fleetsJSON{Scopes: map[budget.Scope]fleetJSON{}, Causes: map[budget.FleetCause]*bool{}}
	counted := false // a check is too short to tell by anything else that a cause of the fleet does not hold
	for scope, f := range s.Fleets {
		counted = counted || f.CountersPresent.Value > 0
		shown.Scopes[scope] = fleetJSON{
			Entities: f.Entities, CapUnknown: f.CapUnknown,
			FalselyLocked: optional(f.FalselyLocked), Bypassed: optional(f.Bypassed), Diverging: f.Diverging,
			CountersPresent: optional(f.CountersPresent), Reported: optional(f.ReportedSum), Enforced: optional(f.EnforcedSum),
		}
	}
	for _, c := range budget.FleetCauses {
		shown.Causes[c] = nil
		if holds, judged := s.FleetCauses[c]; judged && (holds || c == budget.NoSharedCounters && counted) {
			shown.Causes[c] = &holds
		}
	}
	return shown
}

func optional[T any](v budget.Optional[T]) *T {
	if !v.Known {
		return nil
	}
	return &v.Value
}
