package refusals

import "time"

const (
	// overlap is by how much windows overlap: LiteLLM writes a row with a delay, and the clocks may differ.
	overlap = 2 * time.Minute
	// longestWindow is how far back a window reaches at most. LiteLLM searches the log of a window row by row, so what
	// could not be read for longer is passed over.
	longestWindow = 10 * time.Minute
)

// MaxPages is how many pages of a window are read at most, newest rows first.
const MaxPages = 10

// Reader reads the log of failed requests bit by bit: which part to read next, and what of it is new.
type Reader struct {
	since time.Time // refusals from before it do not count
	until time.Time // what is before it was read
	seen  map[uint64]time.Time
}

// NewReader returns a reader that takes in the refusals from a time on.
func NewReader(since time.Time) *Reader {
	return &Reader{since: since, until: since, seen: map[uint64]time.Time{}}
}

// Window is the part of the log to read now.
func (r *Reader) Window(now time.Time) (from, to time.Time) { return From(r.until, now), now }

// From is where to go on reading a log that was read up to a time; zero where it was not.
func From(read, now time.Time) time.Time {
	from, earliest := read.Add(-overlap), now.Add(-longestWindow)
	if from.Before(earliest) {
		return earliest
	}
	return from
}

// New returns those of some refusals that were not read before. They may come in any order, and again and again.
func (r *Reader) New(read []Refusal) []Refusal {
	var fresh []Refusal
	for _, f := range read {
		if _, seen := r.seen[f.Request]; seen || f.At.Before(r.since) {
			continue
		}
		r.seen[f.Request] = f.At
		fresh = append(fresh, f)
	}
	return fresh
}

// Done says that a window was read to its end, or as far as it is ever read.
func (r *Reader) Done(to time.Time) {
	r.until = to
	for request, at := range r.seen {
		if at.Before(to.Add(-longestWindow)) {
			delete(r.seen, request)
		}
	}
}
