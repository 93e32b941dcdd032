// Package alerts holds the rules for Prometheus, their tests for promtool and the runbooks. What is in Go here checks them.
package alerts

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"

	"litellm_budget_exporter/collector"
)

const (
	rulesFile   = "litellm_budget.rules.yml"
	runbookBase = "https://example.com/litellm_budget_exporter/alerts/runbooks/"
	grafanaBase = "https://example.com/grafana/d/"
)

// rule is one rule of the rules file.
type rule struct {
	Record      string
	Alert       string
	Expr        string
	For         string
	Labels      map[string]string
	Annotations map[string]string
}

// name tells rules apart that share an alert's name: one is for keys and one for teams.
func (r rule) name() string {
	scope := r.Labels["scope"]
	if scope == "" || strings.Contains(strings.ToLower(r.Alert), scope) {
		return r.Alert
	}
	return r.Alert + " " + scope
}

const alertPrefix = "LiteLLMBudget"

type group struct {
	Name     string
	Interval string
	Rules    []rule
}

func loadGroups(t *testing.T) []group {
	t.Helper()
	var file struct{ Groups []group }
	decode(t, rulesFile, &file)
	if len(file.Groups) == 0 {
		t.Fatalf("%s has no groups", rulesFile)
	}
	return file.Groups
}

// loadAlerts returns the alerting rules.
func loadAlerts(t *testing.T) []rule {
	t.Helper()
	var alerts []rule
	for _, g := range loadGroups(t) {
		for _, r := range g.Rules {
			if r.Alert != "" {
				alerts = append(alerts, r)
			}
		}
	}
	return alerts
}

// decode decodes what is wanted of a YAML file. That there is nothing unknown in it is promtool's to check.
func decode(t *testing.T, file string, into any) {
	t.Helper()
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(content, into); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
}

func TestEveryAlertIsWellFormed(t *testing.T) {
	for _, g := range loadGroups(t) {
		for _, r := range g.Rules {
			if r.Alert == "" {
				continue
			}
			t.Run(r.name(), func(t *testing.T) {
				if !strings.HasPrefix(r.Alert, alertPrefix) {
					t.Errorf("its name does not begin with %s", alertPrefix)
				}
				severity := r.Labels["severity"]
				if !slices.Contains([]string{"critical", "warning", "info"}, severity) {
					t.Errorf("severity %q is none of critical, warning and info", severity)
				}
				if severity == "critical" && (g.Interval != "15s" || r.For != "") {
					t.Errorf("it pages, but is evaluated every %q, and only after %q", g.Interval, r.For)
				}
				for label := range r.Labels {
					if label != "severity" && label != "scope" {
						t.Errorf("label %s: an alert carries what it is about and how bad it is; what can change while it fires belongs into the annotations", label)
					}
				}
				for _, name := range []string{"summary", "description"} {
					if r.Annotations[name] == "" {
						t.Errorf("it has no %s", name)
					}
				}
				if got, want := r.Annotations["runbook_url"], runbookBase+r.Alert+".md"; got != want {
					t.Errorf("its runbook_url is %s, want %s", got, want)
				}
				if len(r.Annotations) != 4 {
					t.Errorf("its annotations are %v, want summary, description, runbook_url and dashboard_url", r.Annotations)
				}
			})
		}
	}
}

// TestEveryAlertLeadsToADashboard: to that of the key or team that it is about, or to one of the deployment. What tests expect of the
// annotation shows that labels are filled in; that the dashboards are called so, and take these variables, is seen here.
func TestEveryAlertLeadsToADashboard(t *testing.T) {
	variables := map[string][]string{} // by dashboard
	files, err := filepath.Glob("../dashboards/*.json")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		var dashboard struct {
			UID        string
			Templating struct{ List []struct{ Name string } }
		}
		decode(t, file, &dashboard)
		for _, v := range dashboard.Templating.List {
			variables[dashboard.UID] = append(variables[dashboard.UID], v.Name)
		}
	}
	identity := map[string]string{"key": "hashed_api_key", "team": "team"}
	for _, r := range loadAlerts(t) {
		t.Run(r.name(), func(t *testing.T) {
			link := r.Annotations["dashboard_url"]
			path, ok := strings.CutPrefix(link, grafanaBase)
			uid := dashboardUID.FindString(path)
			if !ok || variables[uid] == nil {
				t.Fatalf("its dashboard_url %s is none of the dashboards at %s", link, grafanaBase)
			}
			for _, set := range dashboardVariable.FindAllStringSubmatch(link, -1) {
				if !slices.Contains(variables[uid], set[1]) {
					t.Errorf("its dashboard_url sets %s, which %s does not have", set[1], uid)
				}
			}
			if !dashboardVariable.MatchString(link) {
				t.Errorf("its dashboard_url sets no variable: %s", link)
			}
			if scope := r.Labels["scope"]; scope != "" {
				want := "litellm-budget-entity?var-job={{ urlquery $labels.job }}&var-id={{ urlquery $labels." + identity[scope] + " }}"
				if path != want {
					t.Errorf("its dashboard_url leads to %s, want %s", path, want)
				}
			}
		})
	}
}

var (
	dashboardUID      = regexp.MustCompile(`^[a-z-]+`)
	dashboardVariable = regexp.MustCompile(`[?&]var-(\w+)=\{\{ urlquery `)
)

// TestEveryAlertHasItsRunbook, and every runbook its alert.
func TestEveryAlertHasItsRunbook(t *testing.T) {
	files, err := filepath.Glob("runbooks/*")
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]bool{}
	for _, r := range loadAlerts(t) {
		want[r.Alert+".md"] = true
	}
	for _, f := range files {
		if !want[filepath.Base(f)] {
			t.Errorf("%s is the runbook of no alert", f)
		}
	}
	for name := range want {
		content, err := os.ReadFile(filepath.Join("runbooks", name))
		if err != nil {
			t.Errorf("an alert has no runbook: %v", err)
			continue
		}
		if title, _, _ := strings.Cut(string(content), "\n"); title+".md" != "# "+name {
			t.Errorf("runbooks/%s is headed %q", name, title)
		}
		for _, section := range []string{"## What it means", "## Confirm", "## Mend", "## Escalate"} {
			if !strings.Contains(string(content), "\n"+section+"\n") {
				t.Errorf("runbooks/%s has no section %q", name, section)
			}
		}
		for _, link := range linkToRunbook.FindAllStringSubmatch(string(content), -1) {
			if !want[link[1]] {
				t.Errorf("runbooks/%s links to %s, which is no runbook", name, link[1])
			}
		}
		if !strings.Contains(string(content), "https://github.com/BerriAI/litellm/") {
			t.Errorf("runbooks/%s links to no report upstream", name)
		}
	}
}

var linkToRunbook = regexp.MustCompile(`\]\(([^)#:]+)(?:#[^)]*)?\)`)

// plain is what Prometheus 2.42, Prometheus 3, vmalert and Mimir all know and take for the same.
var plain = []string{
	"max", "min", "time", "rate", "increase", "max_over_time", "min_over_time", "avg_over_time", "last_over_time", "absent_over_time",
}

// target are the labels that Prometheus gives a target.
var target = []string{"job", "instance", "pod"}

// TestRulesUseWhatThereIs holds the metrics and labels of every expression, those in annotations included, against the
// catalogue, and the functions against a list.
func TestRulesUseWhatThereIs(t *testing.T) {
	labelsOf := collector.Names()
	var known []string // labels that there are at all
	for _, labels := range labelsOf {
		known = append(known, labels...)
	}
	known = append(known, target...)
	for _, g := range loadGroups(t) {
		for _, r := range g.Rules {
			if r.Record != "" {
				labelsOf[r.Record] = known
			}
		}
	}
	check := func(t *testing.T, expr string) {
		t.Helper()
		used := parse(expr)
		if len(used.selectors) == 0 {
			t.Errorf("no metric was found in %s", expr)
		}
		for _, s := range used.selectors {
			labels, ok := labelsOf[s.metric]
			if !ok {
				t.Errorf("there is no metric %s: %s", s.metric, expr)
			}
			for _, l := range s.labels {
				if !slices.Contains(labels, l) && !slices.Contains(target, l) {
					t.Errorf("%s has no label %s: %s", s.metric, l, expr)
				}
			}
		}
		for _, l := range used.labels {
			if !slices.Contains(known, l) {
				t.Errorf("nothing has a label %s: %s", l, expr)
			}
		}
		for _, f := range used.functions {
			if !slices.Contains(plain, f) {
				t.Errorf("%s is not among the functions that are the same everywhere (%s): %s", f, strings.Join(plain, ", "), expr)
			}
		}
	}
	for _, g := range loadGroups(t) {
		for _, r := range g.Rules {
			t.Run(r.Record+r.name(), func(t *testing.T) {
				check(t, r.Expr)
				for name, text := range r.Annotations {
					queries := queryInTemplate.FindAllStringSubmatch(text, -1)
					if len(queries) != strings.Count(text, "query (") {
						t.Errorf("%s: not every query in it was found", name)
					}
					for _, q := range queries {
						check(t, strings.ReplaceAll(q[1], "%q", `""`))
					}
					for _, l := range labelInTemplate.FindAllStringSubmatch(text, -1) {
						if !slices.Contains(known, l[1]) {
							t.Errorf("%s: nothing has a label %s", name, l[1])
						}
					}
				}
			})
		}
	}
}

var (
	queryInTemplate = regexp.MustCompile(`query \(printf "([^"]*)"`)
	labelInTemplate = regexp.MustCompile(`(?:\$labels\.|\| label ")(\w+)`)

	text       = regexp.MustCompile(`"[^"]*"`)
	span       = regexp.MustCompile(`\[[^]]*]|\boffset\s+\w+`)
	clause     = regexp.MustCompile(`\b(?:on|ignoring|by|without|group_left|group_right)\s*\(([^)]*)\)`)
	selector   = regexp.MustCompile(`([a-zA-Z_:][\w:]*)\s*(\{[^}]*})?(\s*\()?`)
	identifier = regexp.MustCompile(`[a-zA-Z_]\w*`)
	operators  = []string{"and", "or", "unless", "bool"}
)

// usage is what an expression refers to.
type usage struct {
	selectors []struct {
		metric string
		labels []string
	}
	labels    []string // in on, by, group_left and their like
	functions []string
}

// parse finds out what a valid PromQL expression refers to. promtool has checked that it is one.
func parse(expr string) (u usage) {
	expr = span.ReplaceAllString(text.ReplaceAllString(expr, `""`), "")
	expr = clause.ReplaceAllStringFunc(expr, func(c string) string {
		u.labels = append(u.labels, identifier.FindAllString(clause.FindStringSubmatch(c)[1], -1)...)
		return ""
	})
	for _, m := range selector.FindAllStringSubmatch(expr, -1) {
		switch name, matchers, call := m[1], m[2], m[3]; {
		case slices.Contains(operators, name):
		case call != "":
			u.functions = append(u.functions, name)
		default:
			u.selectors = append(u.selectors, struct {
				metric string
				labels []string
			}{name, identifier.FindAllString(matchers, -1)})
		}
	}
	return u
}
