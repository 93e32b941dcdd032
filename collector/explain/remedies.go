package explain

import (
	"fmt"
	"math"
	"net/url"
	"strings"

	"litellm_budget_exporter/collector/budget"
)

// remedy makes a remedy for one budget; ok is false where it does nothing for it, or the release has it not.
type remedy func(s subject, b *Budget) (r Remedy, ok bool)

// remedies lists what mends the cause of an entity's own budget.
func (s subject) remedies(b *Budget) []Remedy {
	found := []Remedy{}
	for _, make := range known[s.Entity.Entity.Cause].remedies {
		if r, ok := make(s, b); ok {
			found = append(found, r.whole())
		}
	}
	return found
}

// whole has the lists that are empty be lists in JSON: null is unknown.
func (r Remedy) whole() Remedy {
	r.First = append([]string{}, r.First...)
	r.FirstCommands = append([]string{}, r.FirstCommands...)
	r.Commands = append([]string{}, r.Commands...)
	r.Later = append([]string{}, r.Later...)
	r.SideEffects = append([]string{}, r.SideEffects...)
	return r
}

// windowRemedies lists what to do about a time window that refuses. Whether it should is known to nobody but the
// database, which is asked once its counter is gone.
func (s subject) windowRemedies(b *Budget) []Remedy {
	r := Remedy{
		Title:    "Delete its counter",
		Commands: s.redis(b.Counter.Name, "DEL"),
		Changes: "The next request begins it again from what the database has of this time. If that is refused as well, it was spent: " +
			"wait for the reset, or raise the max_budget of this window.",
	}
	if b.Outcome != Refused || len(r.Commands) == 0 || s.release().OlderThan("1.84.0") { // which began it at 0
		return []Remedy{}
	}
	r.First = s.rowInDoubt(b)
	if !s.release().AtLeast("1.101.0") {
		r.SideEffects = append(r.SideEffects, "Up to 1.99.4 the database is LiteLLM's log: with disable_spend_logs, or a log kept for less than the window, it begins too low.")
	}
	return []Remedy{r.whole()}
}

// rowInDoubt is what comes before anything that takes the row for right: that begins a counter from it, or raises a cap
// by what it leaves. A counter that is below the row is brought nearer to the truth by both.
func (s subject) rowInDoubt(b *Budget) (first []string) {
	judged := s.in.Snapshot.FleetCauses
	switch {
	case low(b):
		return nil
	case judged[budget.FlushStalled]:
		return []string{"Mend the stalled flush: the row lacks what was spent since, and with a counter begun from it, or a cap raised by what it leaves, that can be spent again."}
	case judged == nil && s.in.Deployment.Redis != nil:
		first = append(first, "Make sure that the flush is not stalled, for then the row is short and the counter right: a running exporter tells it, this look does not.")
	}
	if b.Cause != nil && b.Cause.Name == budget.Unexplained { // which tells of the entity's own budget, and of no time window
		first = append(first, "Look into LiteLLM's log for spend that could not be written: if the row lacks some, the counter is right, and this lets "+amountOf(b.Divergence)+" be spent once more.")
	}
	return first
}

// high says that LiteLLM enforces more than it reports.
func high(b *Budget) bool { return b.Divergence != nil && *b.Divergence > 0 }

// low says that LiteLLM enforces less than it reports.
func low(b *Budget) bool { return b.Divergence != nil && *b.Divergence < 0 }

// additive says whether what finds no counter adds the row's spend to it in the release in use, so that several at once
// multiply it.
func (s subject) additive() budget.Optional[bool] {
	return budget.Affected(s.release().Version, budget.ReseedMultiple)
}

// oneFirst is how a counter is begun without a race for it; "" where the release has none.
func (s subject) oneFirst() string {
	const rule = "let a single request through before the rest: "
	switch additive := s.additive(); {
	case additive.Value:
		return rule + "whoever finds no counter adds the row's spend to it, and several at once multiply it"
	case !additive.Known:
		return rule + "several at once multiply a counter in some releases from 1.83.14 to 1.86.2, and whether the release in use does is not known"
	}
	return ""
}

// stop has whoever writes to the counter stopped before a remedy. Who is refused anyway can be blocked, too, where nobody
// can stop it.
func (s subject) stop(r *Remedy, b *Budget, rest string) {
	whom := "the client"
	if s.Entity.Entity.ID.Scope == budget.Team {
		whom = "every client of every key of the team"
	}
	r.First = append(r.First, "Stop "+whom+rest)
	if b.Outcome == Refused {
		r.FirstCommands = []string{s.change("block", map[string]any{})}
		r.Later = []string{s.change("unblock", map[string]any{})}
		if s.oneFirst() != "" {
			r.SideEffects = append(r.SideEffects, "What was blocked comes back all at once, and no single request goes first: look at the counter after it is unblocked.")
		}
	} else if b.Outcome != Over { // which costs more with every hour
		r.SideEffects = append(r.SideEffects, "It works for nobody meanwhile. Nobody is refused now: let it wait for a quiet hour.")
	}
}

// begun is how a counter that is gone begins again. Before 1.84.0 whoever still has it in memory, where it is kept for
// 600 s, adds the cost of a request to nothing.
func (s subject) begun(b *Budget) string {
	text := "the next request begins the counter again from the row (" + amountOf(b.Reported) + ")"
	if s.release().OlderThan("1.84.0") {
		text += ", if no proxy remembers it"
	}
	return text + "."
}

// forget has the proxies of a release before 1.84.0 forget a counter that is gone.
func (s subject) forget(r *Remedy) {
	if s.release().OlderThan("1.84.0") {
		r.First = append(r.First, "Keep the client stopped, and restart every proxy when the counter is gone: each remembers it for up to ten minutes, refuses by that, "+
			"and begins the new one at the cost of one request.")
	}
}

// counterLife is for how long a counter lives by default after the last write, in seconds.
const counterLife = 60

func letExpire(s subject, b *Budget) (Remedy, bool) {
	r := Remedy{
		Title:    "Let the counter expire",
		First:    s.rowInDoubt(b),
		Commands: s.redis(b.Counter.Name, "PTTL"),
		Changes:  "The counter ends with its life, PTTL then says -2, and " + s.begun(b),
	}
	life := "60 s (or for default_redis_ttl, if it is set)"
	if ttl := b.Counter.TTL; ttl != nil && *ttl > counterLife {
		life = length(*ttl) + ", which it has left to live"
	}
	s.stop(&r, b, " for "+life+", so that nothing writes to the counter.")
	s.forget(&r)
	if one := s.oneFirst(); one != "" {
		r.First = append(r.First, "Then "+one+".")
	}
	if !s.release().OlderThan("1.104.0") {
		r.SideEffects = append(r.SideEffects, "From 1.104.0 on a request in flight renews the counter's life every 30 s: wait until all are answered (request_timeout at most).")
	}
	return r, high(b) && !never(b) && len(r.Commands) > 0
}

func deleteCounter(s subject, b *Budget) (Remedy, bool) {
	version := s.release()
	r := Remedy{
		Title:    "Delete the counter",
		First:    s.rowInDoubt(b),
		Commands: s.redis(b.Counter.Name, "DEL"),
		Changes:  upper(s.begun(b)),
	}
	if rowBelowZero(b) {
		r.First = append(r.First, "Put the row right: the counter begins from it.")
	}
	if one := s.oneFirst(); one != "" {
		why := ", "
		if s.additive().Value {
			why = ": in this release DEL under load seeds the counter several times again; "
		}
		s.stop(&r, b, " for 60 s"+why+"then "+one+".")
	}
	s.forget(&r)
	if !version.OlderThan("1.84.0") && s.Entity.Entity.Cap.State != budget.CapUnlimited { // where nothing is reserved without a cap
		text := "Requests in flight settle their reservations against the new counter, which can leave it too low by as much"
		if !version.OlderThan("1.90.0") {
			text += "; the next request raises it again"
		}
		r.SideEffects = append(r.SideEffects, text+".")
	}
	if names := s.windowCounters(); len(names) > 0 {
		r.SideEffects = append(r.SideEffects, "Its time windows keep their counters: "+list(names)+".")
	}
	return r, len(r.Commands) > 0 && b.Counter.State != "absent"
}

// windowCounters are the full names of the counters of the entity's time windows.
func (s subject) windowCounters() (names []string) {
	e := s.Entity.Entity
	for _, w := range e.Windows {
		names = append(names, s.fullName(budget.WindowCounterName(e.ID, w.Duration)))
	}
	return names
}

func raiseCap(s subject, b *Budget) (Remedy, bool) {
	if !high(b) || b.MaxBudget == nil || *b.MaxBudget <= 0 || b.Outcome != Refused {
		return Remedy{}, false
	}
	raised := *b.MaxBudget + *b.Divergence
	r := Remedy{
		Title:   "Raise the cap until the counter is right",
		First:   s.rowInDoubt(b),
		Changes: fmt.Sprintf("The cap becomes %s, so that %s can be spent, which is what the books leave. Seen by every proxy within 60 s.", Amount(raised), left(b)),
		SideEffects: []string{
			"It is a real cap: once the counter is right again, " + Amount(*b.Divergence) + " more can be spent than was agreed. Put it back then.",
		},
	}
	own := s.ownCap()
	if s.Row != nil && s.Row.TempIncrease.USD != 0 && b.MaxBudget != nil && own != nil {
		raised -= *b.MaxBudget - *own // the temporary increase comes on top
	}
	r.Commands = []string{s.update(map[string]any{"max_budget": rounded(raised)})}
	r.Later = []string{s.update(map[string]any{"max_budget": own})}
	if own == nil {
		r.SideEffects = append(r.SideEffects, "The cap is that of a linked budget now: the entity's own wins while it has one, and null gives the linked one back.")
	}
	return r, true
}

// capFrom says where the cap comes from, if it is not the entity's own max_budget alone.
func (s subject) capFrom() string {
	r := s.Row
	if r == nil || s.Entity.Entity.Cap.State != budget.CapKnown {
		return ""
	}
	from := ""
	if !r.MaxBudget.Known && r.Link.State == budget.LinkTo {
		from = "that of the linked budget " + Clean(r.Link.BudgetID)
	}
	if inc := r.TempIncrease; inc.USD != 0 && s.in.Snapshot.At.Before(inc.ExpiresAt) {
		if from == "" {
			from = "its own " + amountOf(pointer(r.MaxBudget))
		}
		from += " and a temporary " + Amount(inc.USD) + " until " + clock(inc.ExpiresAt)
	}
	return from
}

// rounded is an amount without the dust of adding floats.
func rounded(v float64) float64 { return math.Round(v*1e6) / 1e6 }

// ownCap is the entity's own max_budget, nil when it has none.
func (s subject) ownCap() *float64 {
	if s.Row == nil {
		return pointer(s.Entity.Entity.Cap.Exact())
	}
	return pointer(s.Row.MaxBudget)
}

func resetSpend(s subject, b *Budget) (Remedy, bool) {
	e := s.Entity.Entity
	return Remedy{
		Title:       "Reset the spend once more",
		Commands:    []string{s.curl("POST", "/key/"+url.PathEscape(e.ID.Value)+"/reset_spend", map[string]any{"reset_to": 0})},
		Changes:     "Row and counter become 0.",
		SideEffects: []string{"The " + amountOf(b.Reported) + " that were spent since the reset are forgotten.", "LiteLLM answers success even where Redis refused the write: look at the counter afterwards."},
	}, e.ID.Scope == budget.Key && s.release().AtLeast("1.90.0")
}

func setSpend(s subject, b *Budget) (Remedy, bool) {
	e := s.Entity.Entity
	r := Remedy{
		Title:    "Put the row right",
		Commands: []string{s.update(map[string]any{"spend": 0})},
		Changes:  "The row becomes 0; put what was really spent in its place, if you know it.",
	}
	if !s.release().AtLeast("1.91.0") || e.ID.Scope == budget.Team {
		r.SideEffects = append(r.SideEffects, "The counter is not touched: delete it afterwards.")
	}
	return r, b.Reported != nil && *b.Reported < 0
}

func block(s subject, b *Budget) (Remedy, bool) {
	return Remedy{
		Title:       "Block it, if the spending must stop at once",
		Commands:    []string{s.change("block", map[string]any{})},
		Later:       []string{s.change("unblock", map[string]any{})},
		Changes:     "Every request is refused until it is unblocked. Seen by every proxy within 60 s.",
		SideEffects: []string{"Clients are told that it is blocked (401 for a key), not that a budget is exceeded."},
	}, b.Outcome == Over
}

func giveLife(s subject, b *Budget) (Remedy, bool) {
	r := Remedy{
		Title:    "Give the counter an end of life",
		First:    s.rowInDoubt(b),
		Commands: s.redis(b.Counter.Name, "EXPIRE", "60"),
		Changes:  "The counter keeps its value for 60 s more; after that " + s.begun(b),
	}
	if one := s.oneFirst(); one != "" {
		s.stop(&r, b, " until it is gone, then "+one+".")
	}
	s.forget(&r)
	return r, len(r.Commands) > 0
}

func await(_ subject, _ *Budget) (Remedy, bool) {
	return Remedy{
		Title:       "Wait",
		Changes:     "It ends by itself when the requests in flight are answered. The alerts about false locks wait for ten minutes of it.",
		SideEffects: []string{"Deleting the counter now would let the requests in flight settle against a new one and leave it too low."},
	}, true
}

func noReservations(s subject, _ *Budget) (Remedy, bool) {
	return Remedy{
		Title:       "Turn reservations off",
		Changes:     "general_settings.disable_budget_reservation: true in LiteLLM's configuration, and a restart: nothing is reserved, so nothing leaks or pins a counter.",
		SideEffects: []string{"Requests that run side by side can overshoot a cap."},
	}, !s.release().OlderThan("1.87.5") && !(s.release().AtLeast("1.88.0") && s.release().OlderThan("1.90.0"))
}

func longerTimeout(s subject, _ *Budget) (Remedy, bool) {
	return Remedy{
		Title:       "Give Redis longer to answer",
		Changes:     "REDIS_SOCKET_TIMEOUT=5 in LiteLLM's environment, and a restart: it is 0.1 s otherwise, and a call that takes longer counts as failed.",
		SideEffects: []string{"A Redis that hangs makes requests wait for as long."},
	}, s.release().OlderThan("1.108.5")
}

// upgrade is to the first release that does better at the cause; worth a word where the one in use may be older.
func upgrade(to, better string) remedy {
	return func(s subject, _ *Budget) (Remedy, bool) {
		r := Remedy{Title: "Upgrade LiteLLM", Changes: "From " + to + " on " + better + "."}
		switch release := s.release(); {
		case release.AtLeast("1.104.0"): // answers as the newest do
		case release.AtLeast("1.85.0"):
			r.SideEffects = []string{"From 1.104.0 on refusals are answered with 422: clients that retry on 429 stop retrying."}
		default:
			r.SideEffects = []string{"Refusals are answered with 400 up to 1.84, with 429 from 1.85.0 on, which many clients retry by themselves, and with 422 from 1.104.0 on, which they do not."}
		}
		return r, !s.release().AtLeast(to)
	}
}

// guardedCounter is the upgrade of the releases in which a counter can go below 0.
func guardedCounter(s subject, b *Budget) (Remedy, bool) {
	r, older := upgrade(counterGuarded, "the counter does not go below 0 (the row can: avoid 1.103.11 to 1.108.5 and 1.109.1)")(s, b)
	return r, older && !rowBelowZero(b)
}

func rowBelowZero(b *Budget) bool { return b.Reported != nil && *b.Reported < 0 }

// counterGuarded is the release from which on no counter goes below 0: what is negative in it or later is the row.
const counterGuarded = "1.102.4"

// rowsFallBelowZero says that the release is known to be one of those in which a row can.
func (s subject) rowsFallBelowZero() bool {
	return s.release().AtLeast(counterGuarded) && budget.Affected(s.release().Version, budget.Negative).Value
}

// guardedRow is the upgrade of the releases in which a row can go below 0: not to the newest that was read, which is one.
func guardedRow(s subject, b *Budget) (Remedy, bool) {
	r, _ := upgrade("1.108.6", "in that line the row does not go below 0; in 1.109.1 it does")(s, b)
	return r, rowBelowZero(b) && s.rowsFallBelowZero()
}

func record(s subject, _ *Budget) (Remedy, bool) {
	return Remedy{
		Title:    "Record it, so that somebody can tell",
		Commands: []string{Command(s.Entity.Entity.ID.Value, "--watch --record case.yml")},
		Changes:  "Nothing: it reads until it is over and writes both numbers over time, without names, to case.yml.",
	}, true
}

func never(b *Budget) bool { return b.Counter.TTL != nil && *b.Counter.TTL < 0 }

func upper(text string) string { return strings.ToUpper(text[:1]) + text[1:] }
