package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync/atomic"
	"time"

	"github.com/alecthomas/kingpin/v2"

	"litellm_budget_exporter/collector/budget"
	"litellm_budget_exporter/collector/casebook"
	"litellm_budget_exporter/collector/config"
	"litellm_budget_exporter/collector/explain"
	"litellm_budget_exporter/collector/poller"
)

const explainCommand = "explain"

// explainOptions are the arguments of explain.
type explainOptions struct {
	name     string // id or alias
	stdin    bool   // read it from standard input
	output   string // text or json
	watch    bool
	exporter string // URL of a running exporter to ask
	http     string // file that says how to reach it
	record   string // file to write a case to
	replay   string // file to judge instead of reading anything
}

func explainFlags(app *kingpin.Application, args []string) *explainOptions {
	o := &explainOptions{stdin: slices.Contains(args, "-")} // kingpin takes - for an empty argument
	c := app.Command(explainCommand, "Explain one key or team: every budget that can block it, both numbers, why they parted and what mends it. Nothing is changed. "+
		"Exit code 0: explained, 1: a replayed case is judged otherwise than it expects, 2: not explained.")
	c.Arg("id", "A key's SHA-256 or alias, or a team's id or alias; - reads it, or a raw sk-… key, from standard input.").StringVar(&o.name)
	c.Flag("output", "How to print it: text or json.").Default("text").EnumVar(&o.output, "text", "json")
	c.Flag("watch", "Follow it until nothing is wrong with it any more.").BoolVar(&o.watch)
	c.Flag("exporter", "Ask the exporter that runs at this URL, which knows the history, instead of reading LiteLLM and Redis.").PlaceHolder("URL").StringVar(&o.exporter)
	c.Flag("http.config.file", "How to reach that exporter, where it has TLS or authentication: a Prometheus HTTP client configuration (basic_auth, tls_config, …). Redirects are not followed.").PlaceHolder("FILE").StringVar(&o.http)
	c.Flag("record", "Write what was read, without names, to this file, which must not exist.").PlaceHolder("FILE").StringVar(&o.record)
	c.Flag("replay", "Judge and explain a recorded case; nothing is read but the file.").PlaceHolder("FILE").StringVar(&o.replay)
	return o
}

// exitUnexpected is the exit code of a replay of a case that is judged otherwise than it expects.
const exitUnexpected = 1

// teller explains what a poller knows.
type teller struct {
	poller *poller.Poller
	config *atomic.Pointer[config.Config] // in force
}

// explain explains an entity as it is in a snapshot; nil if it is not in it.
func (t teller) explain(s *budget.Snapshot, id budget.ID) *explain.Explanation {
	asked := t.entity(s, id)
	if asked == nil {
		return nil
	}
	cfg := t.config.Load()
	in := explain.Input{Snapshot: s, Deployment: deploymentOf(cfg), Reading: readingOf(cfg, s), Asked: *asked}
	if team := asked.Entity.Names.TeamID; team != "" && id.Scope == budget.Key {
		in.Team = t.entity(s, budget.ID{Scope: budget.Team, Value: team})
	}
	return explain.Explain(in)
}

func (t teller) entity(s *budget.Snapshot, id budget.ID) *explain.Entity {
	for _, e := range s.Entities[id.Scope] {
		if e.ID == id {
			standing, _ := t.poller.Standing(id)
			return &explain.Entity{
				Entity: e, Row: standing.Row, History: t.poller.History(id),
				Refusals: t.poller.Refusals(id), RefusalsReadAt: t.poller.RefusalsReadAt(id),
			}
		}
	}
	return nil
}

// deploymentOf is how an operator reaches what a configuration reads.
func deploymentOf(cfg *config.Config) explain.Deployment {
	d := explain.Deployment{LiteLLMURL: cfg.LiteLLM.URL}
	if r := cfg.Redis; r != nil {
		d.Redis = &explain.Redis{
			Mode: string(r.Mode), Addresses: r.Addresses, MasterName: r.MasterName, DB: r.DB, TLS: r.TLS != nil, Namespace: r.Namespace,
		}
	}
	return d
}

// readingOf is how often a configuration reads, and what it and the deployment make normal.
func readingOf(cfg *config.Config, s *budget.Snapshot) explain.Reading {
	return explain.Reading{
		Inventory: cfg.Intervals.Inventory, Counters: cfg.Intervals.Counters,
		ToleranceUSD: cfg.Tolerance.USD, ToleranceRatio: cfg.Tolerance.Ratio,
		WriteLag: max(cfg.Tolerance.WriteLag, s.WriteLag.Value),
	}
}

// explain explains one entity, and follows it if it is to.
func (p *program) explain(ctx context.Context, o explainOptions) int {
	err := p.explainOne(ctx, o)
	if err == nil {
		return exitOK
	}
	fmt.Fprintf(p.stderr, "%s: error: %s\n", name, err)
	if _, explained := errors.AsType[*unexpected](err); explained {
		return exitUnexpected
	}
	return exitUsage
}

func (p *program) explainOne(ctx context.Context, o explainOptions) error {
	if o.replay != "" {
		if o.name != "" || o.stdin || o.watch || o.exporter != "" || o.http != "" || o.record != "" {
			return errors.New("--replay goes with a file and --output only")
		}
		return p.replay(o)
	}
	if o.http != "" && o.exporter == "" {
		return errors.New("--http.config.file says how to reach an exporter: it goes with --exporter only")
	}
	var err error
	o.name = canonical(o.name)
	switch {
	case o.name == "" && o.stdin:
		if o.name, err = readName(p.stdin); err != nil {
			return err
		}
	case o.name == "":
		return errors.New("which key or team? Give an id or an alias, or - to read it from standard input")
	}
	var file *os.File
	if o.record != "" { // before anybody waits for long
		if file, err = os.OpenFile(o.record, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600); err != nil {
			return fmt.Errorf("--record: %w", err)
		}
		defer file.Close()
	}
	recorded, err := p.tell(ctx, o)
	if file == nil {
		return err
	}
	if recorded == nil {
		return errors.Join(err, os.Remove(o.record)) // it is empty, and would be in the way of the next attempt
	}
	written := errors.Join(casebook.Write(file, recorded.Case()), file.Close())
	if written != nil { // what is there is no case
		written = errors.Join(written, os.Remove(o.record))
	}
	return errors.Join(err, written)
}

// tell explains one entity, follows it if it is to, and returns what it saw: nil where there was nothing to see.
func (p *program) tell(ctx context.Context, o explainOptions) (*casebook.Recorder, error) {
	source, end, err := p.source(ctx, o)
	if err != nil {
		return nil, err
	}
	defer end()
	x, err := source.first(ctx)
	if err != nil {
		return nil, err
	}
	if err := p.print(o, x); err != nil {
		return nil, err
	}
	if o.output == "text" && o.exporter == "" && !o.watch && doubtful(x) {
		fmt.Fprintf(p.stdout, "\nThis was one look. An exporter that was running remembers how it began: %s\n", explain.Command(o.name, "--exporter URL"))
	}
	recorder := &casebook.Recorder{}
	recorder.Take(x)
	if o.watch {
		err = p.follow(ctx, o, source, x, recorder)
	}
	return recorder, err // also of what ended by an error
}

// doubtful says that a cause is not almost certain.
func doubtful(x *explain.Explanation) bool {
	return slices.ContainsFunc(x.Budgets, func(b *explain.Budget) bool { return b.Cause != nil && b.Cause.Confidence < 0.9 })
}

// explanations is where the explanations of one entity come from.
type explanations interface {
	first(ctx context.Context) (*explain.Explanation, error) // waits until what was suspected is settled
	next(ctx context.Context) (*explain.Explanation, error)  // waits for a moment
}

func (p *program) source(ctx context.Context, o explainOptions) (explanations, func(), error) {
	if o.exporter != "" {
		r, err := newRemote(o.exporter, o.http, o.name)
		if err != nil {
			return nil, nil, err
		}
		r.progress = p.progress()
		return r, func() {}, nil
	}
	s, err := p.prepare()
	if err != nil {
		return nil, nil, err
	}
	f := &fresh{session: s, name: o.name}
	if err := f.narrow(ctx); err != nil {
		return nil, nil, err
	}
	return f, s.begin(ctx), nil
}

// fresh reads both sources for itself.
type fresh struct {
	*session
	name string
	id   budget.ID
}

// narrow asks LiteLLM who is meant, so that nobody else is read. Where the configuration names the entities, those are
// read: the credential may not be allowed to ask.
func (f *fresh) narrow(ctx context.Context) error {
	if f.named() {
		return nil
	}
	rows, err := f.poller.Lookup(ctx, f.name)
	switch {
	case ctx.Err() != nil:
		return errInterrupted
	case err != nil:
		return fmt.Errorf("LiteLLM cannot be read: %w", err)
	case len(rows) != 1:
		found := make([]match, len(rows))
		for i, row := range rows {
			found[i] = matchOf(&budget.Entity{ID: row.ID, Names: row.Names})
		}
		return &whichOf{found}
	}
	f.name = rows[0].ID.Value
	f.poller.Only(rows[0])
	return nil
}

// settling is said while something is suspected.
const settling = "something is suspected, waiting for it to settle"

// named says that the configuration names the entities that are read.
func (f *fresh) named() bool {
	e := f.config.Load().Entities
	return len(e.Keys)+len(e.Teams) > 0
}

// first finds the entity and waits until it, and its team, are judged and nothing that was suspected is open.
func (f *fresh) first(ctx context.Context) (*explain.Explanation, error) {
	var x *explain.Explanation
	var lookup *whichOf
	var read time.Time
	defer f.progress.clear()
	err := f.wait(ctx, func(s *budget.Snapshot) (bool, string) {
		found, byID := find(s, f.name)
		whole := f.poller.Progress().Whole
		switch {
		case len(found) != 1 && whole:
			lookup = &whichOf{found}
			return true, ""
		case !byID && !whole:
			return false, f.readingText()
		}
		f.id = found[0].id()
		open, asking, counted := f.open(s)
		if !counted {
			return false, f.readingText()
		}
		if read.IsZero() {
			read = time.Now()
		}
		switch patient := time.Since(read) < f.patience(explainedWithin); {
		case patient && open.Known && !open.Value.After(read):
			return false, settling
		case patient && asking:
			return false, "asking LiteLLM for the requests that it refused"
		}
		x = f.teller().explain(f.poller.Snapshot(), f.id) // made after the last suspicion was settled
		return x != nil, ""
	})
	switch {
	case err != nil:
		return nil, err
	case lookup != nil && len(lookup.matches) == 0 && f.named():
		return nil, fmt.Errorf("%w, of those that the configuration names (entities)", lookup)
	case lookup != nil:
		return nil, lookup
	}
	return x, nil
}

// open is since when something has been suspected of the entity or its team; asking says that LiteLLM is being asked
// what it refused of them, and counted that both were read.
func (f *fresh) open(s *budget.Snapshot) (since budget.Optional[time.Time], asking, counted bool) {
	ids := []budget.ID{f.id}
	for _, e := range s.Entities[f.id.Scope] {
		if e.ID == f.id && f.id.Scope == budget.Key && e.Names.TeamID != "" {
			ids = append(ids, budget.ID{Scope: budget.Team, Value: e.Names.TeamID})
		}
	}
	counted = true
	for _, id := range ids {
		standing, known := f.poller.Standing(id)
		if !known {
			continue // a team that is not read
		}
		counted = counted && standing.Counted
		asking = asking || standing.Asking
		if u := standing.UndecidedSince; u.Known && (!since.Known || u.Value.Before(since.Value)) {
			since = u
		}
	}
	return since, asking, counted
}

func (f *fresh) next(ctx context.Context) (*explain.Explanation, error) {
	due := time.Now().Add(time.Second)
	var x *explain.Explanation
	var problem string
	err := f.wait(ctx, func(s *budget.Snapshot) (bool, string) {
		if time.Now().Before(due) {
			return false, ""
		}
		x, problem = f.teller().explain(s, f.id), s.Sources[budget.LiteLLM].Problem
		return true, ""
	})
	switch {
	case err != nil || x != nil:
		return x, err
	case problem != "":
		return nil, fmt.Errorf("LiteLLM cannot be read: %s", problem)
	}
	return nil, errors.New("it is gone from LiteLLM: it was deleted, or the key was regenerated, which gives it another hash")
}

func (p *program) print(o explainOptions, x *explain.Explanation) error {
	if o.output == "json" {
		return json.NewEncoder(p.stdout).Encode(x)
	}
	return x.WriteText(p.stdout)
}

// follow prints what changes until nothing is wrong any more, or until it is interrupted: then what was seen so far is
// all there is.
func (p *program) follow(ctx context.Context, o explainOptions, source explanations, x *explain.Explanation, recorder *casebook.Recorder) error {
	began := time.Now()
	if o.output == "text" && !x.Healed() {
		fmt.Fprintf(p.stdout, "\nFollowing it until nothing is wrong with it any more; Ctrl-C ends that.\n")
	}
	said := ""
	if o.output == "json" { // of which the first is written already
		said = watchLine(x)
	}
	for !x.Healed() {
		next, err := source.next(ctx)
		if ctx.Err() != nil {
			return nil //nolint:nilerr // interrupted: it was explained
		}
		if err != nil {
			return err
		}
		x = next
		recorder.Take(x)
		line := watchLine(x)
		switch {
		case line == said:
		case o.output == "json":
			if err := p.print(o, x); err != nil {
				return err
			}
		default:
			fmt.Fprintf(p.stdout, "%s  %s\n", x.At.Format("15:04:05"), line)
		}
		said = line
	}
	switch {
	case o.output != "text":
	case x.Verdict == "":
		fmt.Fprintf(p.stdout, "It is not judged now, so there is nothing to follow.\n")
	default:
		fmt.Fprintf(p.stdout, "Nothing is wrong with it now, after %s.\n", time.Since(began).Round(time.Second))
	}
	return nil
}

// watchLine is what is worth a new line when it changes.
func watchLine(x *explain.Explanation) string {
	line := ""
	for i, b := range x.Budgets {
		if b.Window != "" || i > 0 && b.Cause == nil && b.Suspected == nil {
			continue
		}
		if line != "" {
			line += "; its team: "
		}
		line += fmt.Sprintf("reported %s, enforced %s, cap %s: ", b.ReportedText(), b.EnforcedText(), b.CapText())
		switch {
		case b.Verdict == "" && len(x.SourcesDown) > 0:
			line += fmt.Sprintf("not judged while %s cannot be read", x.SourcesDown[0])
		case b.Verdict == "":
			line += "not judged"
		case b.Cause == nil:
			line += words(string(b.Verdict))
		default:
			line += words(string(b.Verdict)) + ", " + string(b.Cause.Name)
		}
		if b.Suspected != nil {
			line += ", suspected to be " + words(string(b.Suspected.Verdict)) + ": " + b.Suspected.Settled()
		}
	}
	return line
}
