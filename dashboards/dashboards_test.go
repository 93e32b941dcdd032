// Package dashboards holds the dashboards for Grafana and checks them: their form, their words, their colours, and
// their queries, which a real Prometheus answers.
package dashboards

import (
	"cmp"
	"encoding/json"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"litellm_budget_exporter/collector/budget"
)

// uids are stable: links, bookmarks and alerts point at them.
var uids = map[string]string{
	"fleet.json":    "litellm-budget-fleet",
	"entity.json":   "litellm-budget-entity",
	"exporter.json": "litellm-budget-exporter",
}

// variables are those of each dashboard, which links set.
var variables = map[string][]string{
	"litellm-budget-fleet":    {"datasource", "job"},
	"litellm-budget-entity":   {"datasource", "job", "id"},
	"litellm-budget-exporter": {"datasource", "job", "instance"},
}

// prometheus is the data source of everything: whatever the variable says.
var prometheus = datasource{Type: "prometheus", UID: "${datasource}"}

// load reads all dashboards.
func load(t *testing.T) map[string]*dashboard {
	t.Helper()
	files, err := filepath.Glob("*.json")
	if err != nil {
		t.Fatal(err)
	}
	if want := slices.Sorted(maps.Keys(uids)); !slices.Equal(files, want) {
		t.Fatalf("the dashboards are %v, want %v", files, want)
	}
	all := map[string]*dashboard{}
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var d dashboard
		if err := strictly(content, &d); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		all[file] = &d
	}
	return all
}

// TestDashboards holds what a dashboard says of itself.
func TestDashboards(t *testing.T) {
	for file, d := range load(t) {
		t.Run(file, func(t *testing.T) {
			if d.UID != uids[file] {
				t.Errorf("uid %q, want %q", d.UID, uids[file])
			}
			if d.ID != nil {
				t.Errorf("id %d, want null: it belongs to the Grafana that it was exported from", *d.ID)
			}
			if d.Title == "" || d.Description == "" || !slices.Contains(d.Tags, "litellm-budget") {
				t.Errorf("title %q, description %q, tags %v: want all of them, and the tag litellm-budget", d.Title, d.Description, d.Tags)
			}
			if d.SchemaVersion != 38 {
				t.Errorf("schemaVersion %d, want 38: that of Grafana 10.0, which later ones migrate", d.SchemaVersion)
			}
			if len(d.Links) != 1 || d.Links[0].Type != "dashboards" || !slices.Equal(d.Links[0].Tags, []string{"litellm-budget"}) {
				t.Errorf("links %+v, want one to the dashboards of the tag litellm-budget", d.Links)
			}
			var names []string
			for _, v := range d.Templating.List {
				names = append(names, v.Name)
				checkVariable(t, v)
			}
			if !slices.Equal(names, variables[d.UID]) {
				t.Errorf("variables %v, want %v", names, variables[d.UID])
			}
			for _, a := range d.Annotations.List {
				if a.BuiltIn == 0 && (a.Datasource != prometheus || a.Name == "" || a.TitleFormat == "" || a.Expr == "") {
					t.Errorf("annotation %+v: want data source variable, name, title and query", a)
				}
			}
		})
	}
}

func checkVariable(t *testing.T, v variable) {
	t.Helper()
	switch {
	case v.Label == "":
		t.Errorf("variable %s has no label", v.Name)
	case v.Name == "datasource" && (v.Type != "datasource" || v.Query.Query != "prometheus"):
		t.Errorf("variable %s does not choose a Prometheus", v.Name)
	case v.Name != "datasource" && (v.Type != "query" || v.Datasource == nil || *v.Datasource != prometheus):
		t.Errorf("variable %s is no query to the chosen data source", v.Name)
	}
}

// TestPanels holds the form of every panel.
func TestPanels(t *testing.T) {
	for file, d := range load(t) {
		t.Run(file, func(t *testing.T) {
			seen := map[int]string{}
			for i, p := range d.Panels {
				if other, taken := seen[p.ID]; taken || p.ID < 1 {
					t.Errorf("%q: id %d is not valid, or that of %q too", p.Title, p.ID, other)
				}
				seen[p.ID] = p.Title
				if g := p.GridPos; g.W < 1 || g.H < 1 || g.X < 0 || g.Y < 0 || g.X+g.W > 24 {
					t.Errorf("%q: %+v is not on the grid", p.Title, g)
				}
				for _, q := range d.Panels[:i] {
					if overlap(p.GridPos, q.GridPos) {
						t.Errorf("%q %+v and %q %+v overlap", p.Title, p.GridPos, q.Title, q.GridPos)
					}
				}
				checkPanel(t, p)
			}
		})
	}
}

func overlap(a, b gridPos) bool {
	return a.X < b.X+b.W && b.X < a.X+a.W && a.Y < b.Y+b.H && b.Y < a.Y+a.H
}

func checkPanel(t *testing.T, p panel) {
	t.Helper()
	known, found := panelTypes[p.Type]
	if !found {
		t.Errorf("%q: type %q", p.Title, p.Type)
		return
	}
	if p.Title == "" {
		t.Errorf("panel %d has no title", p.ID)
	}
	if p.Type == "row" {
		return
	}
	if p.Description == "" {
		t.Errorf("%q has no description", p.Title)
	}
	if p.PluginVersion != "10.0.0" {
		t.Errorf("%q: pluginVersion %q, want 10.0.0, from which later ones migrate", p.Title, p.PluginVersion)
	}
	if err := strictly(p.Options, known.options()); err != nil {
		t.Errorf("%q: options: %v", p.Title, err)
	}
	if p.Type == "text" {
		return
	}
	if p.Datasource == nil || *p.Datasource != prometheus {
		t.Errorf("%q: data source %v, want the variable", p.Title, p.Datasource)
	}
	checkFields(t, p, known)
	checkTargets(t, p)
}

// units are Grafana's ids of the units used.
var units = []string{"bool", "bytes", "currencyUSD", "dateTimeFromNow", "percentunit", "reqps", "s", "short", "string"}

func checkFields(t *testing.T, p panel, known panelType) {
	t.Helper()
	defaults := p.FieldConfig.Defaults
	if !slices.Contains(units, defaults.Unit) {
		t.Errorf("%q: unit %q, want one of %v", p.Title, defaults.Unit, units)
	}
	if p.Type != "timeseries" && defaults.NoValue == "" {
		t.Errorf("%q does not say what it means when there is nothing to show", p.Title)
	}
	if known.custom != nil {
		if err := strictly(defaults.Custom, known.custom()); err != nil {
			t.Errorf("%q: custom: %v", p.Title, err)
		}
	} else if defaults.Custom != nil {
		t.Errorf("%q: a %s has no custom fields", p.Title, p.Type)
	}
	for _, o := range p.FieldConfig.Overrides {
		if !matches(t, o, fieldNames(p)) {
			t.Errorf("%q: the override of %q is of none of its fields: %v", p.Title, o.Matcher.Options, fieldNames(p))
		}
		for _, property := range o.Properties {
			kind, found := properties[property.ID]
			if !found {
				t.Errorf("%q: the override of %q sets %s", p.Title, o.Matcher.Options, property.ID)
				continue
			}
			value := kind()
			if err := strictly(property.Value, value); err != nil {
				t.Errorf("%q: the override of %q sets %s: %v", p.Title, o.Matcher.Options, property.ID, err)
			}
			if unit, is := value.(*string); is && property.ID == "unit" && !slices.Contains(units, *unit) {
				t.Errorf("%q: the override of %q sets the unit %s", p.Title, o.Matcher.Options, *unit)
			}
		}
	}
}

// fieldNames are what the fields of a panel are called: columns as they are renamed, and series by their legend, in
// which any label is the regular expression of something.
func fieldNames(p panel) []string {
	var names []string
	for _, tr := range p.Transformations {
		names = append(names, slices.Sorted(maps.Values(tr.Options.RenameByName))...)
	}
	for _, q := range p.Targets {
		if q.LegendFormat != "__auto" {
			names = append(names, q.LegendFormat)
		}
	}
	return names
}

var legendLabel = regexp.MustCompile(`\{\{(\w+)\}\}`)

func matches(t *testing.T, o override, names []string) bool {
	t.Helper()
	return slices.ContainsFunc(names, func(name string) bool {
		pattern := regexp.MustCompile("^" + legendLabel.ReplaceAllString(name, ".+") + "$")
		switch o.Matcher.ID {
		case "byName":
			return o.Matcher.Options == name || pattern.MatchString(o.Matcher.Options)
		case "byRegexp":
			wanted, err := regexp.Compile(o.Matcher.Options)
			return err == nil && (wanted.MatchString(name) || legendLabel.MatchString(name))
		}
		t.Errorf("matcher %q", o.Matcher.ID)
		return false
	})
}

func checkTargets(t *testing.T, p panel) {
	t.Helper()
	refs := map[string]bool{}
	for _, q := range p.Targets {
		if q.RefID == "" || refs[q.RefID] {
			t.Errorf("%q: refId %q is empty, or that of two queries", p.Title, q.RefID)
		}
		refs[q.RefID] = true
		if q.Datasource != prometheus {
			t.Errorf("%q %s: data source %v, want the variable", p.Title, q.RefID, q.Datasource)
		}
		if q.Instant == q.Range {
			t.Errorf("%q %s: want an instant query or a range query", p.Title, q.RefID)
		}
		if overTime := p.Type == "timeseries" || p.Type == "state-timeline"; q.Range != overTime {
			t.Errorf("%q %s: a %s wants range %v", p.Title, q.RefID, p.Type, overTime)
		}
		if p.Type == "table" && q.Format != "table" {
			t.Errorf("%q %s: format %q, want table", p.Title, q.RefID, q.Format)
		}
	}
	for _, tr := range p.Transformations {
		if tr.ID != "merge" && tr.ID != "organize" {
			t.Errorf("%q: transformation %q", p.Title, tr.ID)
		}
		for column := range tr.Options.RenameByName {
			if ref, is := strings.CutPrefix(column, "Value #"); is && !refs[ref] {
				t.Errorf("%q renames %s, which no query gives", p.Title, column)
			}
		}
	}
}

// TestChoices holds the fields that are one of a few words, wherever they are.
func TestChoices(t *testing.T) {
	met := map[string]bool{}
	for file := range uids {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var all any
		if err := json.Unmarshal(content, &all); err != nil {
			t.Fatal(err)
		}
		checkChoices(t, file, "", all, met)
	}
	for field := range choices {
		if !met[field] {
			t.Errorf("no dashboard has a field %s", field)
		}
	}
}

func checkChoices(t *testing.T, where, name string, value any, met map[string]bool) {
	t.Helper()
	switch value := value.(type) {
	case []any:
		for _, v := range value {
			checkChoices(t, where, name, v, met)
		}
	case map[string]any:
		for key, v := range value {
			if text, is := value[key].(string); is {
				for _, field := range []string{key, name + "." + key} {
					if allowed, limited := choices[field]; limited {
						met[field] = true
						if !slices.Contains(allowed, text) {
							t.Errorf("%s: %s.%s is %q, want one of %v", where, name, key, text, allowed)
						}
					}
				}
			}
			checkChoices(t, where+"/"+key, key, v, met)
		}
	}
}

// palette are the colours of Okabe and Ito, which people with any colour vision tell apart, and greys.
var palette = map[string]string{
	"#D55E00": "vermillion: falsely locked, and whatever is as bad",
	"#CC79A7": "reddish purple: bypassed",
	"#F0E442": "yellow: diverging, a warning",
	"#E69F00": "orange: enforced spend; unknown",
	"#56B4E9": "sky blue: reported spend",
	"#0072B2": "blue",
	"#009E73": "bluish green",
	"#999999": "grey",
	"#5B6270": "slate: in order",
}

// TestColours keeps the dashboards readable for the colour-blind; that text says the same is for the eye to check.
func TestColours(t *testing.T) {
	hex := regexp.MustCompile(`"#[0-9A-Za-z]+"`)
	name := regexp.MustCompile(`"(?:color|fixedColor|iconColor)": "([^#"][^"]*)"`)
	for file := range uids {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range hex.FindAllString(string(content), -1) {
			if palette[strings.Trim(c, `"`)] == "" {
				t.Errorf("%s: colour %s is not in the palette", file, c)
			}
		}
		for _, c := range name.FindAllStringSubmatch(string(content), -1) {
			if c[1] != "transparent" && !strings.HasPrefix(c[1], "rgba(0, 211, 255") { // Grafana's own annotations
				t.Errorf("%s: colour %q is not in the palette", file, c[1])
			}
		}
	}
}

// TestLinks follows every link: the dashboard exists, has the variables that are set, and the rows have the fields
// from which they are set.
func TestLinks(t *testing.T) {
	all := load(t)
	field := regexp.MustCompile(`\$\{__(data\.fields|field\.labels)\.(\w+):percentencode\}`)
	toEntity := 0
	for file, d := range all {
		for _, p := range d.Panels {
			for _, l := range panelLinks(t, p) {
				path, query, _ := strings.Cut(l.URL, "?")
				uid, is := strings.CutPrefix(path, "/d/")
				wanted := variables[uid]
				if !is || wanted == nil {
					t.Errorf("%s, %q: link to %s, which is none of the dashboards", file, p.Title, path)
					continue
				}
				var set []string
				for part := range strings.SplitSeq(query, "&") {
					if name, _, given := strings.Cut(part, "="); given {
						set = append(set, strings.TrimPrefix(name, "var-"))
					}
				}
				if !slices.Equal(set, wanted[:len(set)]) || !strings.HasSuffix(query, "&${__url_time_range}") {
					t.Errorf("%s, %q: link sets %v, want %v and the time range", file, p.Title, set, wanted)
				}
				for _, m := range field.FindAllStringSubmatch(query, -1) {
					if !slices.ContainsFunc(p.Targets, func(q target) bool { return slices.Contains(grouping(q.Expr), m[2]) }) {
						t.Errorf("%s, %q: link uses %s, which no query gives", file, p.Title, m[2])
					}
				}
				if uid == uids["entity.json"] && file == "fleet.json" {
					toEntity++
					if len(set) != len(wanted) {
						t.Errorf("%s, %q: link sets %v, want %v", file, p.Title, set, wanted)
					}
				}
			}
		}
	}
	if toEntity == 0 {
		t.Error("no link leads from the fleet to an entity")
	}
}

func panelLinks(t *testing.T, p panel) []dataLink {
	t.Helper()
	links := p.FieldConfig.Defaults.Links
	for _, o := range p.FieldConfig.Overrides {
		for _, property := range o.Properties {
			if property.ID == "links" {
				var more []dataLink
				if err := strictly(property.Value, &more); err != nil {
					t.Fatal(err)
				}
				links = append(links, more...)
			}
		}
	}
	for _, l := range links {
		if _, err := url.Parse(strings.NewReplacer("${", "", "}", "").Replace(l.URL)); err != nil || l.Title == "" {
			t.Errorf("%q: link %+v: %v", p.Title, l, err)
		}
	}
	return links
}

// TestEveryCauseIsExplained holds the texts of the causes against the closed list.
func TestEveryCauseIsExplained(t *testing.T) {
	var want []string
	for _, c := range budget.Causes {
		want = append(want, string(c))
	}
	slices.Sort(want)
	found := 0
	check := func(p panel, all []mapping) {
		for _, m := range all {
			if m.Options["unexplained"].Text == "" {
				continue
			}
			found++
			got := slices.SortedFunc(maps.Keys(m.Options), cmp.Compare[string])
			if !slices.Equal(got, want) {
				t.Errorf("%q explains %v, want %v", p.Title, got, want)
			}
			for cause, r := range m.Options {
				if !strings.HasPrefix(r.Text, cause+": ") {
					t.Errorf("%q: the text of %s is %q, want it to name the cause and say what it means", p.Title, cause, r.Text)
				}
			}
		}
	}
	for _, d := range load(t) {
		for _, p := range d.Panels {
			check(p, p.FieldConfig.Defaults.Mappings)
			for _, o := range p.FieldConfig.Overrides {
				for _, property := range o.Properties {
					if property.ID == "mappings" {
						var all []mapping
						if err := strictly(property.Value, &all); err != nil {
							t.Fatal(err)
						}
						check(p, all)
					}
				}
			}
		}
	}
	if found != 4 {
		t.Errorf("causes are explained in %d places, want 4", found)
	}
}
