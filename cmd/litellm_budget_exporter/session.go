package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"litellm_budget_exporter/collector/budget"
	"litellm_budget_exporter/collector/config"
)

const (
	// A command that reads for itself looks how far the reading has come after a twentieth of the time that it has
	// taken so far, within these bounds: a view of a large fleet is not free.
	lookSoon, lookLate = 100 * time.Millisecond, time.Second
	// sourceGraceTime is for how long a command waits for a source that was read and then failed.
	sourceGraceTime = time.Minute
	// progressAfter is how long a person waits before being told what for.
	progressAfter = time.Second
	// settledWithin is how long it takes at most to settle a suspicion, besides a write lag and two intervals: most take a
	// minute, a divergence that reservations can be takes five. Somebody who waits for an explanation is told of the
	// suspicion before that.
	settledWithin, explainedWithin = 5 * time.Minute, 2 * time.Minute
)

var errInterrupted = errors.New("interrupted")

// session is the reading of a command: the exporter without a web server, for as long as the command needs it.
type session struct {
	*exporter
	progress progress
}

// prepare makes a session that has not read anything yet.
func (p *program) prepare() (*session, error) {
	e, err := newExporter(func() (*config.Config, error) { return config.Load(p.configFile, p.env) }, p.logger)
	if err != nil {
		return nil, err
	}
	return &session{exporter: e, progress: p.progress()}, nil
}

// begin starts to read both sources. end stops it.
func (s *session) begin(ctx context.Context) (end func()) {
	running, stop := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = s.run(running) // ends by its context only
	}()
	return func() { s.progress.clear(); stop(); <-done }
}

// wait looks again and again until done says so. What it waits for, done says in words. A source that cannot be read
// is an error.
func (s *session) wait(ctx context.Context, done func(*budget.Snapshot) (bool, string)) error {
	for began := time.Now(); ; {
		snapshot := s.poller.Snapshot()
		if err := failedSource(snapshot); err != nil {
			return err
		}
		ended, what := done(snapshot)
		if ended {
			return nil
		}
		s.progress.say(what)
		select {
		case <-ctx.Done():
			return errInterrupted
		case <-time.After(min(max(time.Since(began)/20, lookSoon), lookLate)):
		}
	}
}

// patience is for how long a suspicion is waited for: a time, a write lag and two readings.
func (s *session) patience(most time.Duration) time.Duration {
	cfg := s.config.Load()
	return most + cfg.Tolerance.WriteLag + 2*cfg.Intervals.Counters
}

// failedSource is the error of a source that cannot be read: at once if it never could, else after a while.
func failedSource(s *budget.Snapshot) error {
	for _, source := range []struct {
		id   budget.Source
		name string
	}{{budget.LiteLLM, "LiteLLM"}, {budget.Redis, "Redis"}} {
		state := s.Sources[source.id]
		if state.Problem != "" && (!state.LastSuccess.Known || s.At.Sub(state.LastSuccess.Value) > sourceGraceTime) {
			return fmt.Errorf("%s cannot be read: %s", source.name, state.Problem)
		}
	}
	return nil
}

// readingText says how far the reading of everything has come.
func (s *session) readingText() string {
	p := s.poller.Progress()
	if p.Total > p.Entities {
		return fmt.Sprintf("reading: %d of %d keys and teams", p.Entities, p.Total)
	}
	return fmt.Sprintf("reading: %d keys and teams", p.Entities)
}

// progress tells a person at a terminal what is waited for, in one line that is written over.
type progress struct {
	w     io.Writer
	shown bool // w is a terminal
	from  time.Time
	last  string
}

func (p *program) progress() progress {
	return progress{w: p.stderr, shown: isTerminal(p.stderr), from: time.Now().Add(progressAfter)}
}

func (p *progress) say(text string) {
	if !p.shown || text == p.last || time.Now().Before(p.from) {
		return
	}
	fmt.Fprintf(p.w, "\r\x1b[K%s …", text)
	p.last = text
}

func (p *progress) clear() {
	if p.last != "" {
		fmt.Fprint(p.w, "\r\x1b[K")
		p.last = ""
	}
}

// isTerminal says whether somebody looks on.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
