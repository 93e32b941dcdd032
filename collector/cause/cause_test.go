package cause

import (
	"math"
	"testing"
	"time"

	"litellm_budget_exporter/collector/budget"
)

var epoch = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

func at(seconds float64) time.Time { return epoch.Add(time.Duration(seconds * float64(time.Second))) }

// story is what was read of one key, told one reading after the other.
type story struct {
	release  string
	cap      budget.Cap
	row      budget.Row
	counter  budget.Counter
	history  *History
	pinned   budget.Optional[time.Duration]
	stalled  bool
	immortal bool
	now      time.Time
}

// tell begins the story of a key with a cap of 100, as first read.
func tell(release string, reported, counter float64) *story {
	s := &story{release: release, cap: budget.Cap{State: budget.CapKnown, Low: 100, High: 100}, now: at(0)}
	s.row = budget.Row{Spend: budget.Some(reported), ReadAt: at(0)}
	s.counter = budget.Counter{State: budget.CounterPresent, Value: counter, TTL: time.Minute, ReadAt: at(0)}
	s.history = Begin(&s.row, s.counter, counter != reported)
	return s
}

func (s *story) reported(seconds, usd float64) *story { return s.resets(seconds, usd, s.row.ResetAt) }

// resets is a reading of the row with another reset date.
func (s *story) resets(seconds, usd float64, reset budget.Optional[time.Time]) *story {
	before := s.row
	s.row.Spend, s.row.ReadAt, s.row.ResetAt, s.now = budget.Some(usd), at(seconds), reset, at(seconds)
	s.history.Row(&before, &s.row, before.ResetAt, reset, s.counter)
	return s
}

func (s *story) counts(seconds, usd float64) *story {
	return s.reads(budget.Counter{State: budget.CounterPresent, Value: usd, TTL: time.Minute, ReadAt: at(seconds)})
}

func (s *story) cold(seconds float64) *story {
	return s.reads(budget.Counter{State: budget.CounterAbsent, ReadAt: at(seconds)})
}

func (s *story) reads(c budget.Counter) *story {
	before := s.counter
	s.counter, s.now = c, c.ReadAt
	s.history.Counter(before, c, &s.row)
	if d := value(c) - s.row.Spend.Value; c.State == budget.CounterAbsent || d <= 0.05 && d >= -0.05 {
		s.history.Agrees(s.now)
	}
	return s
}

func (s *story) pinnedFor(d time.Duration) *story {
	s.pinned = budget.Some(d)
	return s
}

func (s *story) facts() Facts {
	f := Facts{
		Now: s.now, Release: budget.ReleaseOf(s.release), Scope: budget.Key, Reported: s.row.Spend.Value, Enforced: s.row.Spend.Value,
		Tolerance: 0.05, Counter: s.counter, Cap: s.cap, Immortal: s.immortal, PinnedFor: s.pinned, RowsStandStill: s.stalled, History: s.history,
	}
	if s.counter.State == budget.CounterPresent {
		f.Enforced = s.counter.Value
	}
	return f
}

func TestClassify(t *testing.T) {
	in := func(seconds float64) budget.Optional[time.Time] { return budget.Some(at(seconds)) }
	for name, c := range map[string]struct {
		story *story
		want  budget.Cause
	}{
		// Facts in themselves.
		"no expiry":              {func() *story { s := tell("1.109.1", 3, 3); s.immortal = true; return s }(), budget.Immortal},
		"a negative counter":     {tell("1.84.0", 3, 3).counts(15, -1), budget.Negative},
		"a negative row":         {tell("1.109.1", 3, 3).reported(15, -2).counts(16, -2), budget.Negative},
		"no expiry and negative": {func() *story { s := tell("1.84.0", 3, -3); s.immortal = true; return s }(), budget.Immortal},

		// Resets.
		"a reset that the counter ignores": {tell("1.84.0", 9, 9).resets(15, 0, in(1e6)).counts(16, 9.1).reported(30, 0.1).counts(31, 9.2), budget.StaleAfterReset},
		"by hand, without a date":          {tell("1.84.0", 9, 9).reported(15, 0).counts(16, 9).counts(60, 9), budget.StaleAfterReset},
		"a date moves, and the row falls to half": {func() *story {
			s := tell("1.101.6", 9, 9)
			s.row.ResetAt = in(10)
			return s.resets(15, 4, in(1e6)).counts(16, 13)
		}(), budget.StaleAfterReset},
		"spend on its way at the reset":            {tell("1.84.0", 9, 9).counts(10, 9.8).resets(15, 0, in(1e6)).counts(16, 9.8).reported(30, 0.8).counts(31, 9.8), budget.StaleAfterReset},
		"a divergence that is not what was before": {tell("1.84.0", 9, 9).reported(15, 0).counts(16, 5), budget.Unexplained},
		"a reset that comes undone":                {tell("1.90.0", 9, 9).counts(10, 0).reported(15, 0).counts(30, 9), budget.ResetUndone},
		"a deleted counter comes back":             {tell("1.109.1", 9, 9).cold(10).reported(15, 0).counts(30, 9), budget.ResetUndone},
		"undone, and it had been seeded anew":      {tell("1.90.0", 9, 9).counts(10, 0).reported(15, 0).counts(16, 3).counts(30, 9), budget.ResetUndone},
		"undone after something was spent":         {tell("1.90.0", 9, 9).counts(10, 3).reported(15, 0).counts(30, 9), budget.ResetUndone},
		"undone where nothing undoes it":           {tell("1.88.0", 9, 9).counts(10, 0).reported(15, 0).counts(30, 9), budget.Unexplained},

		// Edits.
		"an edit downwards by more than half": {tell("1.84.0", 9, 9).reported(15, 1).counts(16, 9).counts(60, 9), budget.ManualSpendEdit},
		"an edit downwards to a third":        {tell("1.84.0", 9, 9).reported(15, 3).counts(16, 9).counts(60, 9), budget.ManualSpendEdit}, // and no three copies
		"an edit downwards to a tenth":        {tell("1.84.0", 9, 9.1).reported(15, 1).counts(16, 9.1).counts(60, 9.1), budget.ManualSpendEdit},
		"a reset, and a tenth spent again":    {tell("1.84.0", 9, 9.1).reported(15, 1).counts(16, 10).counts(60, 10), budget.StaleAfterReset},
		"an edit upwards":                     {tell("1.84.0", 9, 9).reported(15, 40).counts(16, 9).counts(60, 9), budget.ManualSpendEdit},
		"an edit, and spending goes on":       {tell("1.84.0", 9, 9).reported(15, 1).counts(16, 9.2).reported(30, 1.2).counts(31, 9.4).reported(45, 1.4).counts(46, 9.4), budget.ManualSpendEdit},
		"an edit upwards under traffic":       {tell("1.84.0", 9, 9).counts(15, 9.2).reported(16, 9.2).counts(30, 9.4).reported(31, 40.4).counts(45, 9.4), budget.ManualSpendEdit},
		"an edit of something else":           {tell("1.84.0", 9, 9).reported(15, 6).counts(16, 14.2).counts(60, 14.2), budget.Unexplained},

		// The same spend several times.
		"three copies": {tell("1.84.0", 3.536, 3.536).cold(15).counts(30, 10.607).counts(45, 10.607), budget.ReseedMultiple},
		"three copies and the requests that made them":   {tell("1.84.0", 10, 10).cold(15).counts(30, 30.4).reported(45, 10.4).counts(46, 30.4), budget.ReseedMultiple},
		"three copies, of which a reading saw two":       {tell("1.84.0", 3.5, 3.5).cold(15).counts(30, 7).counts(45, 10.5).counts(60, 10.5), budget.ReseedMultiple},
		"three copies, seen one by one":                  {tell("1.84.0", 3.5, 3.5).cold(15).counts(16, 3.5).counts(17, 7).counts(18, 10.5).counts(60, 10.5), budget.ReseedMultiple},
		"steps of one copy's size, long after":           {tell("1.84.0", 3.5, 3.5).cold(15).counts(30, 3.5).counts(45, 3.5).counts(60, 7).counts(75, 10.5), budget.ReservationLeak},
		"two and a half copies":                          {tell("1.84.0", 4, 4).cold(15).counts(30, 10).counts(45, 10), budget.Unexplained},
		"two and a quarter":                              {tell("1.84.0", 4, 4).cold(15).counts(30, 9).counts(45, 9), budget.Unexplained},
		"one and a half":                                 {tell("1.84.0", 4, 4).cold(15).counts(30, 6).counts(45, 6), budget.Unexplained},
		"three copies of a spend that was not read yet":  {tell("1.84.0", 0, 0).counts(5, 3.5).cold(15).counts(16, 10.5).counts(17, 10.5015).reported(18, 3.5015).counts(45, 10.5015), budget.ReseedMultiple},
		"and a reading saw one":                          {tell("1.84.0", 0, 0).counts(5, 3.5).cold(15).counts(16, 3.5).counts(17, 10.5015).reported(18, 3.5).counts(45, 10.5015), budget.ReseedMultiple},
		"reservations of a key that was not seen before": {tell("1.84.0", 0, 0).cold(5).counts(15, 2.3).reported(30, 0.1).counts(31, 2.3).reported(45, 0.2).counts(46, 2.4), budget.Unexplained},
		"what was spent since is none":                   {tell("1.84.0", 0, 0).cold(15).counts(16, 6).counts(30, 6.2).reported(31, 0.3).counts(45, 6.5).reported(46, 0.5), budget.Unexplained},
		"of nothing":                                     {tell("1.84.0", 0, 0).cold(15).counts(30, 3).counts(45, 3), budget.Unexplained},
		"three copies in a release that is mended":       {tell("1.84.1", 3.536, 3.536).cold(15).counts(30, 10.607).counts(45, 10.607), budget.Unexplained},
		"three copies in an unknown release":             {tell("", 3.536, 3.536).cold(15).counts(30, 10.607).counts(45, 10.607), budget.ReseedMultiple},
		"three copies in one between":                    {tell("1.84.11", 3.536, 3.536).cold(15).counts(30, 10.607).counts(45, 10.607), budget.ReseedMultiple},
		"a jump of a live counter":                       {tell("1.84.0", 5, 5).counts(15, 10).counts(30, 10).counts(90, 10), budget.ReseedMultiple},
		"a jump of another size":                         {tell("1.84.0", 5, 5).counts(15, 12.3).counts(30, 12.3).counts(90, 12.3), budget.Unexplained},
		"seen at one look":                               {tell("1.84.0", 3.536, 10.607), budget.ReseedMultiple},
		"seen at one look, no multiple":                  {tell("1.84.0", 3.536, 9), budget.Unexplained},
		"seen at one look, far from a multiple":          {tell("1.84.0", 4, 9), budget.Unexplained},
		"seen at one look, once":                         {tell("1.84.0", 50, 52), budget.Unexplained},
		"onset unseen, the row grows":                    {tell("1.84.0", 10, 30).reported(15, 11).counts(16, 31).reported(30, 12).counts(31, 32), budget.ReseedMultiple},
		"onset unseen, the divergence grows":             {tell("1.84.0", 10, 30).reported(15, 11).counts(16, 34).reported(30, 12).counts(31, 38), budget.Unexplained},

		// At the cap.
		"copies next to it":                       {tell("1.84.0", 50.05, 50.05).cold(15).counts(30, 100.1).counts(45, 100.1).pinnedFor(15 * time.Second), budget.ReseedMultiple},
		"copies at it to the cent":                {tell("1.84.0", 50, 50).cold(15).counts(30, 100).counts(45, 100).pinnedFor(15 * time.Second), budget.PinnedAtCap},
		"nearly at it, and no copies":             {tell("1.84.0", 60, 60).cold(15).counts(30, 100.1).counts(45, 100.1).pinnedFor(15 * time.Second), budget.PinnedAtCap},
		"pinned for a minute":                     {tell("1.84.0", 60, 60).cold(15).counts(30, 100).pinnedFor(time.Minute), budget.PinnedAtCap},
		"pinned for longer than requests take":    {tell("1.84.0", 60, 60).cold(15).counts(30, 100).counts(700, 100).pinnedFor(11 * time.Minute), budget.ReservationLeak},
		"held by a request that renews its lease": {tell("1.104.0", 60, 60).cold(15).counts(30, 100).counts(700, 100).pinnedFor(11 * time.Minute), budget.PinnedAtCap},
		"a lease ran low": {func() *story {
			s := tell("1.104.0", 60, 60).cold(15).counts(30, 100)
			s.reads(budget.Counter{State: budget.CounterPresent, Value: 100, TTL: 20 * time.Second, ReadAt: at(690)}).counts(700, 100)
			s.pinned = budget.Some(11 * time.Minute)
			return s
		}(), budget.ReservationLeak},
		"pinned before there were reservations": {tell("1.83.14", 60, 60).cold(15).counts(30, 100).pinnedFor(time.Minute), budget.Unexplained},

		// Climbs.
		"reservations that are never settled": {tell("1.84.0", 3, 3).counts(15, 5.08).counts(30, 7.16).counts(45, 9.24).counts(110, 9.24), budget.ReservationLeak},
		"a single step":                       {tell("1.84.0", 3, 3).counts(15, 5.08).counts(30, 5.08).counts(110, 5.08), budget.Unexplained},
		"a single step, long ago": {func() *story {
			s := tell("1.84.0", 3, 3).counts(15, 5.08)
			for i := range 40 {
				s.reported(30+15*float64(i), 3.01+0.01*float64(i)).counts(40+15*float64(i), 5.1+0.01*float64(i))
			}
			return s
		}(), budget.Unexplained},
		"steps of which the first was within the tolerance of its time": {func() *story {
			s := tell("1.84.0", 0.1, 0.1).counts(15, 2.1)
			s.history.Agrees(s.now)
			return s.counts(16, 4.1).counts(17, 6.1).counts(110, 6.1)
		}(), budget.ReservationLeak},
		"without a cap": {func() *story {
			s := tell("1.84.0", 3, 3).counts(15, 5.08).counts(30, 7.16).counts(45, 9.24)
			s.cap = budget.Cap{State: budget.CapUnlimited}
			return s
		}(), budget.Unexplained},
		"before there were reservations": {tell("1.83.14", 3, 3).counts(15, 5.08).counts(30, 7.16).counts(45, 9.24), budget.Unexplained},
		"while no row of the fleet moves": {func() *story {
			s := tell("1.84.0", 3, 3).counts(15, 5.08).counts(30, 7.16).counts(45, 9.24)
			s.stalled = true
			return s
		}(), budget.Unexplained},
		"requests that count twice": {tell("1.84.0", 3, 3).counts(15, 3.4).reported(16, 3.2).counts(30, 3.8).reported(31, 3.4).
			counts(45, 4.2).reported(46, 3.6).counts(60, 4.6).reported(61, 3.8).counts(75, 4.6), budget.DoubleApply},
		"two of them": {tell("1.84.0", 3, 3).counts(15, 3.4).reported(16, 3.2).counts(30, 3.8).reported(31, 3.4).counts(75, 3.8), budget.Unexplained},

		// Too low.
		"a counter that restarts":             {tell("1.83.14", 8, 8).cold(15).counts(30, 0.02).counts(45, 0.04), budget.CounterRestart},
		"twice, in an unknown release":        {tell("", 8, 8).cold(15).counts(30, 0.02).cold(90).counts(105, 0.02), budget.CounterRestart},
		"once, in an unknown release":         {tell("", 8, 8).cold(15).counts(30, 0.02), budget.GhostRefund},
		"a refund right after a reset":        {tell("1.84.0", 8, 8).counts(10, 0).reported(15, 0).counts(30, 3).reported(31, 3).counts(45, 2).counts(60, 2), budget.GhostRefund},
		"a refund long after":                 {tell("1.88.0", 8, 8).counts(10, 0).reported(15, 0).counts(30, 3).reported(31, 3).counts(300, 3).counts(315, 2.2).counts(330, 2.2), budget.Unexplained},
		"costs that are not counted":          {tell("1.101.6", 8, 8).reported(30, 8.2).counts(31, 8).reported(60, 8.4).counts(61, 8), budget.Undercount},
		"after it was too low at first sight": {tell("1.101.6", 8, 3).counts(15, 8).reported(30, 8.2).counts(31, 8).reported(60, 8.4).counts(61, 8), budget.Undercount},
		"a cost as large as its reservation":  {tell("1.90.0", 1, 1).counts(15, 2).counts(30, 1).reported(31, 2).counts(32, 1), budget.Undercount},
		"where all are counted":               {tell("1.102.4", 8, 8).reported(30, 8.2).counts(31, 8).reported(60, 8.4).counts(61, 8.05), budget.Unexplained},
		"too low at first sight":              {tell("1.101.6", 8, 3), budget.Unexplained},
	} {
		t.Run(name, func(t *testing.T) {
			got, confidence, evidence := Classify(c.story.facts())
			if got != c.want {
				t.Errorf("%s (%.2f) %v, want %s", got, confidence, evidence, c.want)
			}
			if (got == budget.Unexplained) != (confidence == 0) || confidence > 1 || len(evidence) == 0 {
				t.Errorf("%s with a confidence of %v and %d numbers", got, confidence, len(evidence))
			}
		})
	}
}

func TestCountersThatFellTogether(t *testing.T) {
	for name, c := range map[string]struct {
		release       string
		fell, counted int
		unlimited     bool
		want          budget.Cause
	}{
		"all":                                 {"1.84.0", 6, 6, false, budget.CounterLost},
		"a good part of many":                 {"1.84.0", 12, 100, false, budget.CounterLost},
		"one of many":                         {"1.84.0", 1, 100, false, budget.Unexplained},
		"three of a thousand":                 {"1.84.0", 3, 1000, false, budget.Unexplained},
		"where LiteLLM raises them":           {"1.90.0", 6, 6, false, budget.Unexplained},
		"where it would, but there is no cap": {"1.90.0", 6, 6, true, budget.CounterLost},
	} {
		t.Run(name, func(t *testing.T) {
			s := tell(c.release, 17, 17).counts(15, 6)
			if !s.history.FallenAt().Equal(at(15)) {
				t.Fatalf("fell at %v", s.history.FallenAt())
			}
			s.history.FleetFell(c.fell, c.counted)
			f := s.facts()
			if c.unlimited {
				f.Cap = budget.Cap{State: budget.CapUnlimited}
			}
			if got, _, evidence := Classify(f); got != c.want {
				t.Errorf("%s %v, want %s", got, evidence, c.want)
			}
		})
	}
}

func TestWhenACounterFell(t *testing.T) {
	lives := func(s *story, from, to float64) *story { // its life is renewed
		for sec := from; sec <= to; sec += 45 {
			s.counts(sec, s.counter.Value)
		}
		return s
	}
	expiring := func(usd float64) budget.Counter {
		return budget.Counter{State: budget.CounterPresent, Value: usd, TTL: 5 * time.Second, ReadAt: at(15)}
	}
	for name, c := range map[string]struct {
		story *story
		want  float64 // seconds; 0 = it did not
	}{
		"after a large settlement long ago":    {lives(tell("1.84.0", 1, 1).counts(15, 9).counts(30, 1), 75, 300).counts(315, 2).counts(330, 1).reported(331, 2).counts(332, 1), 330},
		"when its life was over":               {tell("1.84.0", 3, 3).reads(expiring(5)).counts(30, 3).reported(31, 5).counts(32, 3), 0},
		"when it was gone since":               {tell("1.84.0", 1, 1).counts(15, 2).counts(16, 1).cold(20).counts(25, 1).reported(26, 2).counts(27, 1), 0},
		"settled before, and lost by itself":   {tell("1.84.0", 10, 10).counts(15, 12).counts(16, 10).counts(17, 5).reported(18, 12).counts(19, 5), 17},
		"settled since":                        {tell("1.84.0", 17, 17).counts(15, 16).reported(29, 17.1).counts(30, 17.6).counts(45, 16.1), 15},
		"more since":                           {tell("1.84.0", 17, 17).counts(15, 16).counts(60, 14), 60},
		"less since, after it was seeded anew": {tell("1.84.0", 17, 17).counts(15, 16).cold(30).counts(45, 17).counts(60, 16.5), 60},
		"less since, after they agreed":        {tell("1.84.0", 17, 17).counts(15, 16).counts(30, 17).counts(45, 16.5), 45},
		"more since, as the row told later":    {tell("1.84.0", 17, 17).counts(15, 16).counts(30, 20).counts(45, 17.5).reported(46, 20).counts(47, 17.5), 45},
		"less since, after its life ran out":   {tell("1.84.0", 17, 17).reads(expiring(16)).counts(30, 17.3).counts(45, 16.5), 45},
		"less since, after a reset":            {tell("1.84.0", 17, 17).counts(15, 16).reported(30, 0).counts(31, 1).reported(45, 1).counts(60, 0.5), 60},
	} {
		want := time.Time{}
		if c.want > 0 {
			want = at(c.want)
		}
		if got := c.story.history.FallenAt(); !got.Equal(want) {
			t.Errorf("%s: at %v, want %v", name, got, want)
		}
	}
}

func TestWhatACounterFellByIsSeenByTheRowThatTellsOfItLater(t *testing.T) {
	for name, c := range map[string]struct {
		story *story
		at    float64 // when the row is read, in seconds
		usd   float64
		fell  bool
	}{
		"all of it":                        {tell("1.84.0", 1, 1).counts(15, 2).counts(16, 1), 17, 2, true},
		"after more was spent":             {tell("1.84.0", 1, 1).counts(15, 2).counts(16, 1).counts(17, 1.5), 18, 2.5, true},
		"as much as was spent since":       {tell("1.84.0", 1, 1).counts(15, 2).counts(16, 1).counts(17, 1.5), 18, 1.5, false},
		"a reservation, and its cost":      {tell("1.84.0", 1, 1).counts(15, 2).counts(16, 1.1), 17, 1.1, false},
		"a reservation whose cost is lost": {tell("1.84.0", 1, 1).counts(15, 2).counts(16, 1), 17, 1.1, false},
		"more than the counter ever held":  {tell("1.84.0", 1, 1).counts(15, 2).counts(16, 1), 17, 30, false},
		"a part of it":                     {tell("1.84.0", 1, 1).counts(15, 2).counts(16, 1), 17, 1.5, false},
		"where it was too low before":      {tell("1.84.0", 67.84, 67.84).reported(1, 68.5).counts(15, 71.84).counts(16, 68.84), 45, 70, false},
		"long ago":                         {tell("1.84.0", 1, 1).counts(15, 2).counts(16, 1), 300, 2, false},
		"a smaller one after it":           {tell("1.84.0", 1, 1).counts(15, 2).counts(16, 1).counts(17, 1.2).counts(18, 1.01), 19, 2.01, true},
	} {
		t.Run(name, func(t *testing.T) {
			c.story.reported(c.at, c.usd).counts(c.at+0.1, c.story.counter.Value)
			if got := c.story.history.FallenAt(); got.Equal(at(16)) != c.fell || got.IsZero() == c.fell {
				t.Fatalf("fell at %v", got)
			}
			if !c.fell {
				return
			}
			if got := c.story.history.fall.reported; math.Abs(got-2) > 1e-9 {
				t.Errorf("the row was at %v when it fell, want 2", got)
			}
			for others, want := range map[int]budget.Cause{3: budget.CounterLost, 0: budget.Unexplained} {
				c.story.history.FleetFell(1+others, 4)
				if got, _, evidence := Classify(c.story.facts()); got != want {
					t.Errorf("with %d others: %s %v", others, got, evidence)
				}
			}
		})
	}
}

func TestCopiesAreTold(t *testing.T) {
	_, confidence, evidence := Classify(tell("1.84.0", 3.536, 3.536).cold(15).counts(30, 10.607).counts(45, 10.607).facts())
	numbers := map[string]float64{}
	for _, e := range evidence {
		numbers[e.Name] = e.Value
	}
	if numbers["copies"] != 3 || numbers["reported_at_seed_usd"] != 3.536 || numbers["counter_at_seed_usd"] != 10.607 || confidence < 0.9 {
		t.Errorf("%v (%v)", numbers, confidence)
	}
}

func TestAnExactMultipleAtOneLookIsMoreThanChance(t *testing.T) {
	for name, c := range map[string]struct {
		release           string
		reported, counter float64
		want              float64
	}{
		"exact":                                 {"1.84.0", 3.536, 10.607, 0.75},
		"about":                                 {"1.84.0", 3.536, 10.75, 0.5},
		"exact, in a release that is not known": {"", 3.536, 10.607, 0.5},
	} {
		cause, got, _ := Classify(tell(c.release, c.reported, c.counter).facts())
		if cause != budget.ReseedMultiple || got != c.want {
			t.Errorf("%s: %s %v, want %v", name, cause, got, c.want)
		}
	}
}

func TestAnExactMultipleThatStaysIsSurer(t *testing.T) {
	s := tell("1.84.0", 3.536, 10.608)
	last := 0.0
	for i := range 25 {
		sec := 15 * float64(i+1)
		_, got, _ := Classify(s.reported(sec, 3.536).counts(sec, 10.608).facts())
		if got < last || sec == 60 && got != 0.8 || sec == 300 && got != 0.85 {
			t.Errorf("%v after %v s", got, sec)
		}
		last = got
	}
	if cause, got, _ := Classify(s.counts(390, 14.144).facts()); cause != budget.ReseedMultiple || got != 0.75 {
		t.Errorf("%s %v once it moved", cause, got)
	}
}

func TestALandmarkStaysWhileTheDivergenceDoes(t *testing.T) {
	s := tell("1.84.0", 3.536, 3.536).cold(15).counts(30, 10.607)
	for i := range 200 { // the samples from before are long gone
		s.reported(45+15*float64(i), 3.6+0.01*float64(i)).counts(46+15*float64(i), 10.68+0.01*float64(i))
	}
	if got, _, _ := Classify(s.facts()); got != budget.ReseedMultiple {
		t.Errorf("%s after an hour", got)
	}
}

func TestHowItBeganIsRememberedAtShortIntervalsToo(t *testing.T) {
	s := tell("1.84.0", 3, 3).counts(5, 5).counts(10, 7).counts(15, 9)
	for i := range 30 {
		s.reported(20+5*float64(i), 3+0.001*float64(i)).counts(20.1+5*float64(i), 9+0.001*float64(i))
	}
	if got, _, evidence := Classify(s.facts()); got != budget.ReservationLeak {
		t.Errorf("%s %v after two and a half minutes", got, evidence)
	}
}

func TestStepsThatFollowEachOtherFastAreSteps(t *testing.T) {
	s := tell("1.84.0", 3, 3).counts(1, 5.1).counts(2, 7.2).counts(3, 9.3)
	for i := range 30 {
		s.reported(5+3*float64(i), 3+0.02*float64(i)).counts(5.1+3*float64(i), 9.3+0.02*float64(i))
		if got, _, evidence := Classify(s.facts()); got != budget.ReservationLeak {
			t.Fatalf("%s %v in reading %d", got, evidence, i)
		}
	}
}

func TestStepsRightAfterTheFirstSightAreSteps(t *testing.T) {
	s := tell("1.84.0", 0, 2).counts(1, 4).counts(2, 6)
	for i := range 30 {
		s.reported(5+3*float64(i), 0.01*float64(i)).counts(5.1+3*float64(i), 6+0.01*float64(i))
		if got, _, evidence := Classify(s.facts()); got != budget.ReservationLeak {
			t.Fatalf("%s %v in reading %d", got, evidence, i)
		}
	}
}

func TestSamples(t *testing.T) {
	s := tell("1.84.0", 3, 3).cold(15).counts(30, 4)
	for sec := 45.0; sec < 600; sec += 15 { // of a time in which nothing moves only the ends are kept
		s.counts(sec, 4)
	}
	samples := s.history.Samples()
	if len(samples) != 5 || samples[1].Counter.Known || !samples[0].At.Equal(at(0)) || !samples[4].At.Equal(at(585)) || samples[4].TTL != time.Minute {
		t.Errorf("%v", samples)
	}
	if left := samples[3].LeftOut + samples[4].LeftOut; left != 35 {
		t.Errorf("%d readings are left out of 38: %v", left, samples)
	}
	for i := range 100 {
		s.counts(700+15*float64(i), 5+float64(i))
	}
	samples = s.history.Samples()
	if recent := samples[len(samples)-mostRecent:]; len(samples) != mostRecent+mostOlder || recent[mostRecent-1].Counter != budget.Some(104.0) || recent[0].Counter != budget.Some(89.0) {
		t.Errorf("%v", samples)
	}
	if s.history.Idle(s.now.Add(keptFor)) || !s.history.Idle(s.now.Add(keptFor+1)) {
		t.Error("a history is of use for ten minutes after the last movement")
	}
}

// TestAFloodThatBeginsIsNoCertainLeak: both climb alike until requests of the flood are answered.
func TestAFloodThatBeginsIsNoCertainLeak(t *testing.T) {
	s := tell("1.84.0", 3, 3)
	sure := func(until float64) float64 {
		for sec := s.now.Sub(at(0)).Seconds() + 15; sec <= until; sec += 15 {
			s.counts(sec, 3+sec/15)
		}
		c, confidence, _ := Classify(s.facts())
		if c != budget.ReservationLeak {
			t.Fatal(c)
		}
		return confidence
	}
	if early, late := sure(120), sure(360); early != 0.6 || late != 0.9 {
		t.Errorf("%v after two minutes, %v after six", early, late)
	}
}
