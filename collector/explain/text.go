package explain

import (
	"cmp"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"text/tabwriter"
	"unicode/utf8"

	"litellm_budget_exporter/collector/budget"
)

// lineWidth is where lines of text for a terminal end at the latest; commands stay whole, so that they can be copied.
const lineWidth = 100

// dust is what is left in dollars where floats that are equal are subtracted.
const dust = 1e-9

// WriteText writes the explanation for a person at a terminal.
func (x *Explanation) WriteText(w io.Writer) error {
	t := &text{}
	t.line("%s", x.heading())
	t.line("%s, read at %s. All amounts are US dollars.", x.LiteLLM.name(), clock(x.At))
	t.line("")
	t.paragraph("", x.Summary)
	t.paragraph("", "The next request: "+lower(x.Next.Text))
	for _, problem := range x.Problems {
		t.paragraph("! ", problem)
	}
	t.line("")
	t.table(x.Budgets)
	if x.Credentials != "" {
		t.line("")
		t.paragraph("Commands: ", x.Credentials)
	}
	for _, f := range x.Fleet {
		t.fleet(f)
	}
	for _, b := range x.Budgets {
		t.budget(x, b)
	}
	t.line("")
	for _, r := range x.Refusals {
		t.paragraph("", "In LiteLLM's log: "+r.Text())
	}
	if read := x.LogText(); read != "" {
		t.paragraph("", read)
	}
	if len(x.Refusals) > 0 || x.RefusalsReadAt != nil {
		t.line("")
	}
	t.paragraph("", "Not read, and able to refuse the next request as well: budgets of "+list(spaced(x.NotRead))+".")
	_, err := io.WriteString(w, t.String())
	return err
}

// heading names the entity.
func (x *Explanation) heading() string {
	heading := string(x.Scope) + " " + Clean(x.ID)
	if x.Alias != "" {
		heading = fmt.Sprintf("%s %s (%s)", x.Scope, Clean(string(x.Alias)), Clean(x.ID))
	}
	if x.Team != "" {
		heading += " of team " + Clean(string(cmp.Or(x.TeamName, x.Team)))
	}
	return heading
}

func (l LiteLLM) name() string {
	switch {
	case l.Version == "":
		return "LiteLLM (release not detected; the rules of the newest known one are taken)"
	case l.Assumed:
		return "LiteLLM " + string(l.Version) + " (newer than what is known; the rules of the newest known release are taken)"
	}
	return "LiteLLM " + string(l.Version)
}

// text is what is written.
type text struct{ strings.Builder }

func (t *text) line(format string, args ...any) { fmt.Fprintf(t, format+"\n", args...) }

// paragraph writes words in lines of a width, all of them indented as far as the first one's mark.
func (t *text) paragraph(mark, words string) {
	indent := strings.Repeat(" ", utf8.RuneCountInString(mark))
	line := mark
	empty := true
	for word := range strings.FieldsSeq(words) {
		if !empty && utf8.RuneCountInString(line)+1+utf8.RuneCountInString(word) > lineWidth {
			t.line("%s", line)
			line, empty = indent, true
		}
		if !empty {
			line += " "
		}
		line += word
		empty = false
	}
	t.line("%s", line)
}

// table writes all budgets side by side.
func (t *text) table(budgets []*Budget) {
	table := tabwriter.NewWriter(t, 0, 0, 2, ' ', tabwriter.AlignRight)
	widest := len("budget")
	for _, b := range budgets {
		widest = max(widest, utf8.RuneCountInString(b.Label()))
	}
	label := func(text string) string { return fmt.Sprintf("%-*s", widest, text) } // the one column that is no number
	fmt.Fprintln(table, label("budget")+"\treported\tenforced\tcap\tdivergence\tcounter lives\tnext request\t")
	for _, b := range budgets {
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t\n", label(b.Label()), b.ReportedText(), b.EnforcedText(), b.CapText(), b.DivergenceText(), b.LifeText(), words(string(b.Outcome)))
	}
	_ = table.Flush() // a strings.Builder takes everything
}

// Label names the budget in a table.
func (b *Budget) Label() string {
	if b.Window != "" {
		return string(b.Scope) + ", " + string(b.Window) + " window"
	}
	return string(b.Scope)
}

// ReportedText is the reported spend; that of a time window is in no API.
func (b *Budget) ReportedText() string {
	if b.Window != "" {
		return "in no API"
	}
	return amountOf(b.Reported)
}

// EnforcedText is the enforced spend.
func (b *Budget) EnforcedText() string { return amountOf(b.Enforced) }

// DivergenceText is the divergence, with its sign.
func (b *Budget) DivergenceText() string {
	if b.Window != "" {
		return "unknown"
	}
	if b.Divergence != nil && math.Abs(*b.Divergence) < dust {
		return Amount(0)
	}
	return signed(b.Divergence)
}

// CapText is the cap in force.
func (b *Budget) CapText() string {
	if b.MaxBudget != nil {
		return Amount(*b.MaxBudget)
	}
	if b.Cap == "known" {
		return "in doubt"
	}
	return b.Cap
}

// LifeText is how long the counter still lives.
func (b *Budget) LifeText() string {
	switch {
	case b.Counter.State != "present":
		return b.Counter.State
	case b.Counter.TTL == nil: // of a time window
		return "present"
	case *b.Counter.TTL < 0:
		return "for ever"
	}
	return length(*b.Counter.TTL)
}

// budget writes what there is to say about one budget, if the table does not say it all.
func (t *text) budget(x *Explanation, b *Budget) {
	t.line("")
	text := b.Text
	if x.Summarised(b) {
		text = "" // it stands above
	}
	t.paragraph("", upper(b.Title())+". "+text)
	for _, n := range b.Normal {
		t.paragraph("  ", "Normal: "+lower(n.Text))
	}
	if b.FalselyLockedLast != nil && b.Verdict != Name(budget.FalselyLocked) {
		t.paragraph("  ", "Last seen falsely locked at "+clock(*b.FalselyLockedLast)+".")
	}
	if b.BypassedLast != nil && b.Verdict != Name(budget.Bypassed) {
		t.paragraph("  ", "Last seen bypassed at "+clock(*b.BypassedLast)+".")
	}
	if b.CapFrom != "" {
		t.paragraph("  ", "Cap: "+string(b.CapFrom)+".")
	}
	if b.ResetAt != nil {
		t.paragraph("  ", "Reset: "+clock(*b.ResetAt)+".")
	}
	if b.Cause != nil {
		t.cause(x, b)
	}
	if b.Window != "" && b.Outcome != Refused {
		return
	}
	if b.Cause != nil || b.Suspected != nil || b.Outcome == Refused || b == x.Budgets[0] {
		t.look(b.Look)
	}
	t.remedies(b.Remedies)
}

// fleet writes what there is to say about a cause of the whole fleet.
func (t *text) fleet(f Fleet) {
	t.line("")
	t.paragraph("", fmt.Sprintf("The whole fleet: %s (%s). %s", f.Name, f.Sure(), f.Text))
	t.line("")
	if numbers := f.Numbers(); numbers != "" {
		t.paragraph("  Evidence: ", numbers+".")
	}
	t.paragraph("  Releases: ", f.Releases+".")
	t.paragraph("  Issues: ", "BerriAI/litellm "+list(f.IssueNames())+".")
	if len(f.Look) > 0 {
		t.look(f.Look)
	}
	t.remedies(f.Remedies)
}

// look writes commands that change nothing.
func (t *text) look(commands []string) {
	t.line("")
	t.line("  Look for yourself; this changes nothing:")
	for _, c := range commands {
		t.line("    %s", c)
	}
}

func (t *text) remedies(remedies []Remedy) {
	if len(remedies) == 0 {
		return
	}
	t.line("")
	t.line("  What can be done. Nothing of this was run, and the exporter's own credentials may only read:")
	for i, r := range remedies {
		t.remedy(strconv.Itoa(i+1), r)
	}
}

func (t *text) cause(x *Explanation, b *Budget) {
	c := b.Cause
	name := string(c.Name)
	if sure := c.Sure(); sure != "" {
		name += " (" + sure + ")"
	}
	t.line("")
	t.paragraph("  Why: ", name+". "+c.Text)
	if numbers := c.Numbers(); numbers != "" {
		t.paragraph("  Evidence: ", numbers+".")
	}
	if c.Name == budget.Unexplained {
		return
	}
	t.paragraph("  Releases: ", c.Suffers(x.LiteLLM)+" Affected: "+c.Releases+".")
	if len(c.Issues) > 0 {
		t.paragraph("  Issues: ", "BerriAI/litellm "+list(c.IssueNames())+".")
	}
}

// LogText tells when LiteLLM's log of failed requests was last read for the entity, so that old refusals are not taken
// for the last that there were; "" where that is not known.
func (x *Explanation) LogText() string {
	switch {
	case x.RefusalsReadAt == nil:
		return ""
	case len(x.Refusals) == 0:
		return "No refused request of it was seen in LiteLLM's log, last read at " + clock(*x.RefusalsReadAt) + "."
	}
	return "LiteLLM's log was last read at " + clock(*x.RefusalsReadAt) + "."
}

// Text tells a refusal in a sentence.
func (r Refusal) Text() string {
	whose := "a budget that LiteLLM did not name"
	if r.Scope != "" {
		whose = "the budget of " + words(string(r.Scope))
		if r.Window != "" {
			whose = "the " + string(r.Window) + " window of " + words(string(r.Scope))
		}
		if r.ID != "" {
			whose += " " + shortened(string(r.ID))
		}
	}
	text := fmt.Sprintf("refused at %s by %s", clock(r.At), whose)
	if r.Enforced != nil || r.Cap != nil {
		text += fmt.Sprintf(", at %s of %s", amountOf(r.Enforced), amountOf(r.Cap))
	}
	switch {
	case r.FalseAt == nil:
		return text + "."
	case r.FalseAt.Equal(r.At):
		return text + ". That was false: when all spend from before it had had the time to be written, the reported spend was still below the cap."
	}
	return text + ". The refusal at " + clock(*r.FalseAt) + " was false: when all spend from before it had had the time to be written, the reported spend was still below the cap."
}

// shortened is an id with the rest of a hash left out.
func shortened(id string) string {
	if len(id) == 64 {
		return id[:12] + "…"
	}
	return Clean(id)
}

// IssueNames are the numbers of the issues as people write them.
func (c *Cause) IssueNames() []string { return issueNames(c.Issues) }

func issueNames(issues []int) []string {
	names := make([]string, len(issues))
	for i, n := range issues {
		names[i] = "#" + strconv.Itoa(n)
	}
	return names
}

func (t *text) remedy(number string, r Remedy) {
	t.line("")
	t.line("  %s. %s", number, r.Title)
	for _, first := range r.First {
		t.paragraph("     First: ", first)
	}
	t.commands("     Where it cannot be stopped, block it; every proxy knows of it within 60 s, and the time counts from then:", r.FirstCommands)
	now := ""
	if len(r.Later) > 0 {
		now = "     Now:"
	}
	t.commands(now, r.Commands)
	t.commands("     Later:", r.Later)
	t.paragraph("     Changes: ", r.Changes)
	for _, effect := range r.SideEffects {
		t.paragraph("     Mind: ", effect)
	}
}

// commands writes what a person copies, under a heading if there is one.
func (t *text) commands(heading string, commands []string) {
	if len(commands) == 0 {
		return
	}
	if heading != "" {
		t.line("%s", heading)
	}
	for _, c := range commands {
		t.line("       %s", c)
	}
}

func spaced(labels []string) []string {
	texts := make([]string, len(labels))
	for i, l := range labels {
		texts[i] = words(l)
	}
	return texts
}

func lower(text string) string { return strings.ToLower(text[:1]) + text[1:] }
