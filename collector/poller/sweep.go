package poller

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"time"

	"litellm_budget_exporter/collector/budget"
	"litellm_budget_exporter/collector/litellm"
)

// maxPages bounds a list: 2 000 000 entities.
const maxPages = 20_000

// list is how to read all entities of one scope.
type list struct {
	scope    budget.Scope
	endpoint string
	page     func(ctx context.Context, page int) (litellm.Page, error)
	one      func(ctx context.Context, id string) (*budget.Row, error)
	complete func(ctx context.Context, rows []*budget.Row) ([]*budget.Row, error) // adds what the list does not tell; optional
	between  func(ctx context.Context) error                                      // done between two pages; optional
}

// pass is one pass through a list. In the first of a scope the rows are taken in page by page. In a later one they
// are kept until the list was read whole, and taken in together with the time at which each was read, so that a
// pass that fails half-way changes nothing.
type pass struct {
	list
	began   time.Time
	first   bool
	known   map[string]bool // those of this pass that are not in the roster yet
	kept    []keptRow
	total   int // items in the whole list, by the first page
	last    int // by the last page
	dropped []budget.ID
}

// keptRow is a row of a later pass. One that says the same as the row last read is not kept twice: row is that row
// then, and readAt when it was read again.
type keptRow struct {
	row    *budget.Row
	readAt time.Time
}

// oddPage is a page that cannot be part of a whole list.
type oddPage struct {
	explained bool // the list may have changed while it was read
	err       error
}

func (e *oddPage) Error() string { return e.err.Error() }
func (e *oddPage) Unwrap() error { return e.err }

// sweepList reads a list whole. If it seems to have changed underway, it is begun once more.
func (p *Poller) sweepList(ctx context.Context, l list) error {
	s, err := p.walk(ctx, l)
	if odd, ok := errors.AsType[*oddPage](err); ok && odd.explained {
		s, err = p.walk(ctx, l)
	}
	if err != nil {
		return err
	}
	if err := p.askForMissing(ctx, s); err != nil {
		return err
	}
	p.finish(s)
	return nil
}

func (p *Poller) walk(ctx context.Context, l list) (*pass, error) {
	s := &pass{list: l, began: time.Now(), known: map[string]bool{}}
	p.mu.Lock()
	if r := p.rosters[l.scope]; r != nil {
		r.sweep++
		s.first = !r.swept
	}
	p.mu.Unlock()
	for n := 1; ; n++ {
		page, err := request(ctx, p.duty, background, func(ctx context.Context) (litellm.Page, error) { return l.page(ctx, n) })
		if err != nil {
			return nil, err
		}
		if err := s.check(n, page); err != nil {
			return nil, err
		}
		if l.complete != nil {
			if page.Rows, err = l.complete(ctx, page.Rows); err != nil {
				return nil, err
			}
		}
		if err := p.takePage(s, n, page); err != nil {
			return nil, err
		}
		p.progressed()
		if n >= page.TotalPages {
			return s, nil
		}
		if l.between != nil {
			if err := l.between(ctx); err != nil {
				return nil, err
			}
		}
	}
}

// takePage takes in or keeps the rows of a page.
func (p *Poller) takePage(s *pass, n int, page litellm.Page) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	r := p.rosters[s.scope]
	if r == nil { // teams that are not shown, read for their aliases
		for _, row := range page.Rows {
			p.take(row)
		}
		return nil
	}
	met := 0
	for _, row := range page.Rows {
		m := r.members[row.ID.Value]
		switch {
		case s.known[row.ID.Value], m != nil && m.sweep == r.sweep:
			met++
			continue
		case s.first:
			p.take(row)
			m = r.members[row.ID.Value]
		case m == nil:
			s.known[row.ID.Value] = true
			s.kept = append(s.kept, keptRow{row, row.ReadAt})
		default:
			s.kept = append(s.kept, keptRow{p.sameOr(m.track.Row(), row), row.ReadAt})
		}
		if m != nil {
			m.sweep = r.sweep
		}
	}
	if met > 0 && met == len(page.Rows) {
		return s.odd(n, page, "page %d repeats what earlier pages held", n)
	}
	return nil
}

// sameOr returns the row last read if a new one says nothing else.
func (p *Poller) sameOr(before, row *budget.Row) *budget.Row {
	row = p.completed(row, before)
	again := *before
	again.ReadAt = row.ReadAt
	if reflect.DeepEqual(&again, row) {
		return before
	}
	return row
}

// check finds pages that cannot be part of a whole list.
func (s *pass) check(n int, page litellm.Page) error {
	if n == 1 {
		s.total = page.Total
	}
	s.last = page.Total
	expected := min(litellm.PageSize, page.Total-(n-1)*litellm.PageSize)
	switch {
	case page.TotalPages > maxPages:
		return &litellm.Error{Endpoint: s.endpoint, Status: http.StatusOK, Reason: litellm.TooLarge,
			Detail: fmt.Sprintf("the list has %d pages; the most that are read is %d", page.TotalPages, maxPages)}
	case page.Page != n:
		return s.odd(n, page, "asked for page %d and got page %d", n, page.Page)
	case page.Received < expected:
		return s.odd(n, page, "page %d of %d has %d items where %d are due", n, page.TotalPages, page.Received, expected)
	case page.Total < s.total/2:
		return s.odd(n, page, "the list shrank from %d items to %d while it was read", s.total, page.Total)
	}
	return nil
}

func (s *pass) odd(n int, page litellm.Page, format string, args ...any) error {
	return &oddPage{
		explained: n == 1 || page.Total != s.total,
		err: &litellm.Error{Endpoint: s.endpoint, Status: http.StatusOK, Reason: litellm.Malformed,
			Detail: fmt.Sprintf(format, args...)},
	}
}

// askForMissing asks for each entity that the pass did not come by, and that nobody read since it began: entities
// come and go while a list is paged, and a page may pass one over.
func (p *Poller) askForMissing(ctx context.Context, s *pass) error {
	for _, id := range p.missing(s) {
		row, err := request(ctx, p.duty, background, func(ctx context.Context) (*budget.Row, error) { return s.one(ctx, id.Value) })
		switch {
		case errors.Is(err, litellm.ErrNotFound):
			s.dropped = append(s.dropped, id)
		case err != nil:
			return err
		default:
			s.kept = append(s.kept, keptRow{row, row.ReadAt})
		}
		p.progressed()
	}
	return nil
}

func (p *Poller) missing(s *pass) []budget.ID {
	p.mu.Lock()
	defer p.mu.Unlock()
	r := p.rosters[s.scope]
	if r == nil {
		return nil
	}
	var ids []budget.ID
	for _, m := range r.inOrder() {
		if row := m.track.Row(); m.sweep != r.sweep && row.ReadAt.Before(s.began) {
			ids = append(ids, row.ID)
		}
	}
	return ids
}

// finish takes in a pass that is whole.
func (p *Poller) finish(s *pass) {
	p.mu.Lock()
	defer p.mu.Unlock()
	r := p.rosters[s.scope]
	if r == nil {
		return
	}
	for _, k := range s.kept {
		p.takeKept(k)
	}
	for _, id := range s.dropped {
		p.remove(id)
	}
	r.swept = true
	r.total = s.last
	p.snapshot = nil
}

// takeKept takes in a row that was kept. If the entity was read again since, the judge ignores it.
func (p *Poller) takeKept(k keptRow) {
	row := k.row
	if !row.ReadAt.Equal(k.readAt) {
		again := *row
		again.ReadAt = k.readAt
		row = &again
	}
	p.take(row)
}
