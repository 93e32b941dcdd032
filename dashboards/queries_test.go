package dashboards

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"litellm_budget_exporter/collector"
	"litellm_budget_exporter/conformance/programs"
	"litellm_budget_exporter/examples/simulator"
)

// query is one PromQL expression of a dashboard.
type query struct {
	where string // file, panel, refId
	expr  string
}

// queries are all of a dashboard: those of its panels, annotations and variables.
func queries(file string, d *dashboard) []query {
	var all []query
	add := func(what, expr string) { all = append(all, query{file + ", " + what, expr}) }
	for _, p := range d.Panels {
		for _, q := range p.Targets {
			add(p.Title+" "+q.RefID, q.Expr)
		}
	}
	for _, a := range d.Annotations.List {
		if a.BuiltIn == 0 {
			add("annotation "+a.Name, a.Expr)
		}
	}
	for _, v := range d.Templating.List {
		if v.Type == "query" {
			add("variable "+v.Name, asExpression(v.Query.Query))
		}
	}
	return all
}

var labelValues = regexp.MustCompile(`^label_values\((.+), (\w+)\)$`)

// asExpression makes PromQL of what Grafana asks for the values of a variable.
func asExpression(variable string) string {
	if m := labelValues.FindStringSubmatch(variable); m != nil {
		return "group by (" + m[2] + ") (" + m[1] + ")"
	}
	return strings.TrimSuffix(strings.TrimPrefix(variable, "query_result("), ")")
}

// foreign are the metrics that are not of the exporter's catalogue: Prometheus makes the first for every target, the
// others are those of client_golang's process collector.
var foreign = map[string][]string{
	"scrape_samples_scraped":        nil,
	"process_resident_memory_bytes": nil,
	"process_cpu_seconds_total":     nil,
	"process_start_time_seconds":    nil,
}

// What PromQL is made of, as far as names matter.
var (
	quoted      = regexp.MustCompile(`"(?:[^"\\]|\\.)*"`)
	bracketed   = regexp.MustCompile(`\[[^\]]*\]`)
	matcher     = regexp.MustCompile(`(\w+)\s*(?:=~|!~|!=|=)`)
	selector    = regexp.MustCompile(`([a-zA-Z_:][\w:]*)\s*\{([^}]*)\}`)
	groupClause = regexp.MustCompile(`\b(?:by|without|on|ignoring|group_left|group_right)\s*\(([^)]*)\)`)
	madeLabel   = regexp.MustCompile(`, "(\w+)", "[^"]*", "(\w+)", "[^"]*"\)`)
	identifier  = regexp.MustCompile(`[a-zA-Z_:][\w:]*`)
	call        = regexp.MustCompile(`[a-zA-Z_]\w*\s*\(`)
	keywords    = []string{"and", "or", "unless", "bool", "offset"}
)

// grouping lists the labels that the clauses of an expression name.
func grouping(expr string) []string {
	var labels []string
	for _, m := range groupClause.FindAllStringSubmatch(expr, -1) {
		for label := range strings.SplitSeq(m[1], ",") {
			if label = strings.TrimSpace(label); label != "" {
				labels = append(labels, label)
			}
		}
	}
	return labels
}

// TestQueriesUseTheCatalogue holds every metric and label of every query against what the exporter exports.
func TestQueriesUseTheCatalogue(t *testing.T) {
	names := collector.Names()
	maps.Copy(names, foreign)
	for file, d := range load(t) {
		for _, q := range queries(file, d) {
			checkNames(t, q, names)
		}
		for _, p := range d.Panels {
			for _, target := range p.Targets {
				for _, m := range legendLabel.FindAllStringSubmatch(target.LegendFormat, -1) {
					if !slices.Contains(grouping(target.Expr), m[1]) && m[1] != "instance" {
						t.Errorf("%s, %s: the legend shows %s, by which the query does not group", file, p.Title, m[1])
					}
				}
			}
		}
	}
}

func checkNames(t *testing.T, q query, names map[string][]string) {
	t.Helper()
	allowed := []string{"job", "instance"} // of the target, and those of the metrics of this query
	plain := quoted.ReplaceAllString(q.expr, `""`)
	for _, m := range selector.FindAllStringSubmatch(plain, -1) {
		labels, found := names[m[1]]
		if !found {
			t.Errorf("%s: there is no metric %s", q.where, m[1])
		}
		allowed = append(allowed, labels...)
		for _, l := range matcher.FindAllStringSubmatch(m[2], -1) {
			if l[1] != "job" && l[1] != "instance" && !slices.Contains(labels, l[1]) {
				t.Errorf("%s: %s has no label %s", q.where, m[1], l[1])
			}
		}
		if !strings.Contains(m[2], "job") && !strings.Contains(q.where, "variable job") {
			t.Errorf("%s: %s of every deployment, want that of $job", q.where, m[1])
		}
	}
	for _, m := range madeLabel.FindAllStringSubmatch(q.expr, -1) {
		if !slices.Contains(allowed, m[2]) {
			t.Errorf("%s: none of its metrics has the label %s", q.where, m[2])
		}
		allowed = append(allowed, m[1])
	}
	for _, label := range grouping(q.expr) {
		if !slices.Contains(allowed, label) {
			t.Errorf("%s: none of its metrics has the label %s", q.where, label)
		}
	}
	// Whatever is left of names is a metric without a selector.
	rest := selector.ReplaceAllString(plain, "")
	rest = groupClause.ReplaceAllString(bracketed.ReplaceAllString(rest, ""), "")
	rest = call.ReplaceAllString(quoted.ReplaceAllString(rest, ""), "(")
	for _, name := range identifier.FindAllString(rest, -1) {
		if _, found := names[name]; !found && !slices.Contains(keywords, name) {
			t.Errorf("%s: there is no metric %s", q.where, name)
		} else if found && !strings.Contains(q.where, "variable job") {
			t.Errorf("%s: %s of every deployment, want that of $job", q.where, name)
		}
	}
}

// rare are the queries that the demo gives nothing to show for, and why. They must be understood all the same.
var rare = map[string]string{
	"fleet.json, Refusals seen in this period A":          "the demo has a Redis, and then the refusals of the whole fleet are not read",
	"exporter.json, Spend on its way, and odd counters A": "the demo's LiteLLM writes its spend at once, without a buffer in Redis",
}

// patience is how long the numbers may take, for a loaded machine: write lag is known after a minute of traffic.
const patience = 4 * time.Minute

// TestQueriesReturnSeries asks a real Prometheus every question of every dashboard. It scrapes the demo, twice as if
// there were two replicas with target labels of their own, and an exporter that reaches neither of its sources.
func TestQueriesReturnSeries(t *testing.T) {
	dir := t.TempDir()
	unreachable := filepath.Join(dir, "unreachable.yml")
	if err := os.WriteFile(unreachable, []byte(`
litellm: {url: "http://127.0.0.1:1", api_key: none}
redis: {url: "redis://127.0.0.1:1"}
`), 0o600); err != nil {
		t.Fatal(err)
	}
	exporter := programs.Exporter(t)
	demo := programs.Start(t, exporter, "demo", "--web.listen-address=127.0.0.1:0")
	cut := programs.Start(t, exporter, "--config.file="+unreachable, "--web.listen-address=127.0.0.1:0")
	p := promAPI("http://" + programs.Prometheus(t, dir, fmt.Sprintf(`
global: {scrape_interval: 1s}
scrape_configs:
  - job_name: demo
    static_configs:
      - targets: [%[1]q]
      - targets: [%[1]q]
        labels: {instance: replica, pod: exporter-1}
  - job_name: cut
    static_configs: [{targets: [%[2]q]}]
`, demo.Address, cut.Address)).Address)
	p.becomesReady(t)

	// An entity's panel shows something for one of these at least.
	ids := []string{simulator.DemoKey(simulator.FalselyLockedAlias), simulator.BypassedTeamID, simulator.DemoKey("payments-chat")}
	deadline := time.Now().Add(patience)
	for file, d := range load(t) {
		job := ".+"
		if file == "entity.json" {
			job = "demo"
		}
		for _, q := range queries(file, d) {
			var expressions []string
			for _, id := range ids {
				expressions = append(expressions, strings.NewReplacer("$job", job, "$instance", ".+", "$id", id,
					"$__rate_interval", "30s", "$__range", "5m").Replace(q.expr))
			}
			if err := p.understands(expressions[0]); err != nil {
				t.Errorf("%s: %v", q.where, err)
			} else if rare[q.where] == "" {
				p.answers(t, q.where, slices.Compact(expressions), deadline)
			}
		}
	}

	for where := range rare {
		if file, _, _ := strings.Cut(where, ","); !slices.ContainsFunc(queries(file, load(t)[file]), func(q query) bool { return q.where == where }) {
			t.Errorf("there is no query %q", where)
		}
	}
	checkEntityVariable(t, p, load(t)["entity.json"], deadline)
	checkReplicas(t, p, load(t)["fleet.json"], deadline)
}

// checkReplicas holds that nobody is counted or listed twice because there are two exporters.
func checkReplicas(t *testing.T, p promAPI, d *dashboard, deadline time.Time) {
	t.Helper()
	want := map[string]string{ // by query, what gives one series if it is right
		"fleet.json, Falsely locked A": "%s == 1",
		"fleet.json, Bypassed A":       "%s == 1",
		"fleet.json, Keys that are falsely locked, bypassed or diverging now A":  "count(%s) == 1",
		"fleet.json, Teams that are falsely locked, bypassed or diverging now A": "count(%s) == 1",
	}
	for _, q := range queries("fleet.json", d) {
		format, wanted := want[q.where]
		if !wanted {
			continue
		}
		delete(want, q.where)
		expr := fmt.Sprintf(format, strings.ReplaceAll(q.expr, "$job", "demo"))
		eventually(t, deadline, func() error {
			series, err := p.ask(expr)
			if err == nil && len(series) != 1 {
				err = fmt.Errorf("%s: %s gives %v, want one series", q.where, expr, series)
			}
			return err
		})
	}
	if len(want) > 0 {
		t.Errorf("there are no queries %v", slices.Collect(maps.Keys(want)))
	}
}

// checkEntityVariable holds the names among which a key or team is chosen. Grafana applies the regular expression to
// a line for each series, with the labels in the order of their names.
func checkEntityVariable(t *testing.T, p promAPI, d *dashboard, deadline time.Time) {
	t.Helper()
	for _, v := range d.Templating.List {
		if v.Name != "id" {
			continue
		}
		pattern, err := regexp.Compile(strings.Trim(v.Regex, "/"))
		if err != nil {
			t.Fatal(err)
		}
		eventually(t, deadline, func() error {
			series, err := p.ask(strings.ReplaceAll(asExpression(v.Query.Query), "$job", "demo"))
			if err != nil {
				return err
			}
			names := map[string]string{}
			for _, labels := range series {
				line := fmt.Sprintf(`{id="%s",name="%s"} 1 1700000000000`, labels["id"], labels["name"])
				if m := pattern.FindStringSubmatch(line); m != nil {
					names[m[pattern.SubexpIndex("text")]] = m[pattern.SubexpIndex("value")]
				}
			}
			for name, id := range map[string]string{
				"key " + simulator.FalselyLockedAlias: simulator.DemoKey(simulator.FalselyLockedAlias),
				"team " + simulator.BypassedTeamAlias: simulator.BypassedTeamID,
			} {
				if names[name] != id {
					return fmt.Errorf("variable id: %q is %q, want %q; all: %v", name, names[name], id, names)
				}
			}
			return nil
		})
		return
	}
	t.Error("there is no variable id")
}

// promAPI is the address of a Prometheus.
type promAPI string

// becomesReady waits until the Prometheus takes questions: it listens a while before.
func (p promAPI) becomesReady(t *testing.T) {
	t.Helper()
	var problem error
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if problem = p.understands("vector(1)"); problem == nil {
			return
		}
	}
	t.Fatalf("Prometheus does not get ready: %v", problem)
}

// understands says whether the expression has an answer at all, an empty one included.
func (p promAPI) understands(expr string) error {
	_, err := p.ask(expr)
	return err
}

// answers waits until one of the expressions returns series. Expressions over time are asked for one instant: a range
// is nothing but many of these.
func (p promAPI) answers(t *testing.T, where string, expressions []string, deadline time.Time) {
	t.Helper()
	eventually(t, deadline, func() error {
		var problem error
		for _, expr := range expressions {
			series, err := p.ask(expr)
			if err == nil && len(series) > 0 {
				return nil
			}
			problem = err
		}
		return fmt.Errorf("%s returns no series (%v): %s", where, problem, expressions[0]) //nolint:errorlint // there may be none
	})
}

// eventually waits until a check has no more error. A target that a busy machine does not let be scraped in time has no series for
// a moment.
func eventually(t *testing.T, deadline time.Time, check func() error) {
	t.Helper()
	for {
		err := check()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Error(err)
			return
		}
		time.Sleep(250 * time.Millisecond) // between two questions
	}
}

// ask returns the labels of every series of the answer.
func (p promAPI) ask(expr string) ([]map[string]string, error) {
	response, err := http.PostForm(string(p)+"/api/v1/query", url.Values{"query": {expr}})
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, err
	}
	var answer struct {
		Status, Error string
		Data          struct {
			Result []struct{ Metric map[string]string }
		}
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return nil, fmt.Errorf("%s: %w", body, err)
	}
	if answer.Status != "success" {
		return nil, fmt.Errorf("%s: %s", expr, answer.Error)
	}
	var series []map[string]string
	for _, r := range answer.Data.Result {
		series = append(series, r.Metric)
	}
	return series, nil
}
