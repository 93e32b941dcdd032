package judgement

import (
	"slices"
	"time"

	"litellm_budget_exporter/collector/budget"
	"litellm_budget_exporter/collector/cause"
)

const (
	// divergingFor is for how long a divergence must be in every reading to be called one. Where the counter rose by as
	// much meanwhile, or a request was settled, it can be a request that takes about as long, and then spend on its way to
	// the row: that is waited for, but not so long that a real divergence would be called later than after two minutes.
	divergingFor    = 60 * time.Second
	divergingAtMost = 90 * time.Second
	// plainFor is for how long it must be plain: by the tolerance that is exported, which grows with what rows are behind. Who
	// only touches that at the end of the minute is not called diverging by that one reading.
	plainFor = 30 * time.Second
	// metFor is for how long an entity that was never seen well must be known before it is called diverging by a counter
	// that moves and is too high: until then it is not known what reservations are usual for it.
	metFor = 105 * time.Second
	// strangeFor is for how long a counter can be too high by the reservations of a traffic at which the entity was never
	// seen well: nothing tells a flood of them from a leak before it has gone on for longer than requests take.
	strangeFor = 5 * time.Minute
)

// liftFor is for how long what a counter rose by can be something else than a divergence.
func (j *Judge) liftFor() time.Duration {
	return min(max(divergingFor+j.params.WriteLag, j.unwrittenFor()), divergingAtMost)
}

// decideDivergence calls an entity diverging once the divergence was in every reading for long enough and is plain, or its
// counter or row is such that no time could make it right.
func (j *Judge) decideDivergence(t *Track, a assessment, at time.Time) {
	tooHigh := a.enforced.Value > t.row.Spend.Value
	switch {
	case a.diverges && (t.divergingSince.IsZero() || tooHigh != t.tooHigh): // the other way round it is another one
		t.divergingSince, t.tooHigh = at, tooHigh
	case !a.diverges && !a.unsure:
		t.divergingSince = time.Time{}
	}
	// A rise that could have been spend until now, and was not, has been wrong from its first reading on.
	if a.diverges && t.motion != nil {
		if since := t.motion.wrongSince(a.endsAt); !since.IsZero() && since.Before(t.divergingSince) {
			t.divergingSince = since
		}
	}
	// A counter read long after its row is ahead of it by what was spent meanwhile.
	fair := !tooHigh || t.counter.ReadAt.Sub(t.row.ReadAt) <= j.params.CounterInterval/4
	switch {
	case !a.plain:
		t.plainSince = time.Time{}
	case fair && t.plainSince.IsZero():
		t.plainSince = at
	}
	t.seenWell = t.seenWell || j.entering && a.agrees && t.counter.State == budget.CounterPresent
	j.allowForReservations(t, a, at)
	if !t.divergingSince.IsZero() {
		t.divergingDue = j.divergingDueAt(t, a, at)
	}
	if !j.entering {
		return
	}
	if a.diverges && a.plain && fair && a.close && !at.Before(t.divergingDue) {
		t.lasting, t.accused = true, max(0, t.ahead(a))
	}
	t.odd = a.odd
}

// allowForReservations takes in what of a counter that is too high reservations can explain that are not known to be usual.
func (j *Judge) allowForReservations(t *Track, a assessment, at time.Time) {
	if a.tolerance.Known && t.ahead(a) <= t.accused/2 {
		t.accused = 0
	}
	t.strange, t.stands = 0, 0
	if t.divergingSince.IsZero() || !t.tooHigh || t.motion == nil || !t.busy(at) {
		return
	}
	strange, stands := j.strange(t, a, at), t.standsUpTo(t.ahead(a), at)
	if max(strange, stands) == 0 || !j.likeReservations(t, a, at) {
		return
	}
	t.strange, t.stands = strange, stands
	if stands > 0 {
		t.stoodAt = at
	}
}

// ahead is by how much the counter is ahead of the row as last read, in USD.
func (t *Track) ahead(a assessment) float64 { return a.enforced.Value - t.row.Spend.Value }

// divergingDueAt is when the divergence has been in every reading for so long that it is none that ends by itself.
func (j *Judge) divergingDueAt(t *Track, a assessment, at time.Time) time.Time {
	since, plain := t.divergingSince, t.plainSince
	if plain.IsZero() {
		plain = at
	}
	enough := divergingFor
	if a.lifted {
		enough = j.liftFor()
	}
	due := []time.Time{since.Add(enough), plain.Add(plainFor)}
	if m := t.motion; m != nil && (len(m.counter) > 0 || !m.fellAt.IsZero()) && t.tooHigh { // requests were seen to begin or to end
		if m.fellAt.After(since) { // what was in flight until then is on its way to the row
			due = append(due, since.Add(min(m.fellAt.Sub(since)+j.unwrittenFor(), divergingAtMost)))
		}
		if !t.seenWell {
			due = append(due, t.firstAt.Add(metFor))
		}
		if t.strange > 0 {
			due = append(due, since.Add(strangeFor))
		}
		due = append(due, t.stoodAt.Add(divergingFor))
	}
	return slices.MaxFunc(due, time.Time.Compare)
}

// strange is by how much the counter can be too high (USD) because it is not known what the traffic of the entity reserves;
// 0 where that does not explain it, or no longer does.
func (j *Judge) strange(t *Track, a assessment, at time.Time) float64 {
	most := j.strangeReservations(t, a, at)
	if len(t.motion.counter) == 0 || at.Sub(t.divergingSince) >= strangeFor || t.ahead(a) > most {
		return 0
	}
	return most
}

// standsUpTo is by how much the counter can be too high (USD) because it has been so for a while under traffic that can
// reserve as much; 0 where it is ahead (USD) by more, or what it stands at was called diverging.
func (t *Track) standsUpTo(ahead float64, at time.Time) float64 {
	most := min(t.usual.lead.standing.upTo(t.divergingSince, at), t.usual.fastest.at(at, mostReserved)*mostReserved.Seconds())
	if ahead > most || t.accused > 0 {
		return 0
	}
	return most
}

// likeReservations says that the cause, as far as it can be told, looks as reservations in flight do.
func (j *Judge) likeReservations(t *Track, a assessment, at time.Time) bool {
	c, _, _ := cause.Classify(j.facts(t, a, at))
	return c == budget.Unexplained || c == budget.ReservationLeak || c == budget.DoubleApply
}

// broughtUp says that a row that stood still while its counter was too high has risen to more than the counter was as that
// began: it was spend on its way, and what the counter is ahead by now came later.
func (t *Track) broughtUp(before, now *budget.Row) bool {
	if t.motion == nil || t.divergingSince.IsZero() || !t.tooHigh || !reportedRose(before, now) || t.motion.rowStoodUntil.After(t.divergingSince) {
		return false
	}
	behind := t.motion.behind(now.Spend.Value, t.counter.Value, now.ReadAt)
	return behind.Known && t.motion.reaches(now.Spend.Value) && now.ReadAt.Add(-behind.Value).After(t.divergingSince)
}
