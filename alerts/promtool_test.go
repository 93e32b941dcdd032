package alerts

import (
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"litellm_budget_exporter/conformance/programs"
)

// run runs a tool and fails the test with what it says.
func run(t *testing.T, tool, debianPackage string, args ...string) string {
	t.Helper()
	out, err := exec.Command(programs.Find(t, tool, debianPackage), args...).CombinedOutput()
	if err != nil {
		t.Errorf("%s %s: %v\n%s", tool, strings.Join(args, " "), err, out)
	}
	return string(out)
}

func TestPromtoolAcceptsTheRules(t *testing.T) {
	run(t, "promtool", "prometheus", "check", "rules", rulesFile)
}

func TestPromtool(t *testing.T) {
	t.Parallel()
	for _, file := range testFiles(t) {
		t.Run(filepath.Base(file), func(t *testing.T) {
			t.Parallel()
			run(t, "promtool", "prometheus", "test", "rules", file)
		})
	}
}

func testFiles(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob("tests/*.yml")
	if err != nil || len(files) == 0 {
		t.Fatalf("tests/*.yml: %v, %d files", err, len(files))
	}
	return files
}

// recordings is the file with the tests of what rules record. The others are of one alert each.
const recordings = "tests/recording_rules.yml"

func TestEveryRecordingIsTested(t *testing.T) {
	var content struct {
		Tests []struct {
			Exprs []struct{ Expr string } `yaml:"promql_expr_test"`
		}
	}
	decode(t, recordings, &content)
	tested := map[string]bool{}
	for _, test := range content.Tests {
		for _, e := range test.Exprs {
			tested[e.Expr] = true
		}
	}
	for _, g := range loadGroups(t) {
		for _, r := range g.Rules {
			if r.Record != "" && !tested[r.Record] {
				t.Errorf("%s does not test %s", recordings, r.Record)
			}
		}
	}
}

// Every alert needs tests of all these kinds. A test says of what kinds it is in its name: "<alert>: <kind>, <kind>", or
// "<alert> key: <kind>" where there is one rule of the name for keys and one for teams.
var (
	kindsOfEntityRules = []string{
		"positive", "negative", "cap 0", "reset instant", "cold gap", "replica pair", "source down", "two deployments",
	}
	kindsOfOtherRules = []string{
		"positive", "negative", "boundary", "replica pair", "source down", "two deployments",
	}
)

// unitTest is what of a test for promtool is looked at.
type unitTest struct {
	Name  string
	Rules []struct {
		Alertname string
		Alerts    []any `yaml:"exp_alerts"`
	} `yaml:"alert_rule_test"`
}

func TestEveryAlertHasAllKindsOfTests(t *testing.T) {
	kinds := map[string][]string{}
	for _, file := range testFiles(t) {
		if file == recordings {
			continue
		}
		var content struct{ Tests []unitTest }
		decode(t, file, &content)
		for _, test := range content.Tests {
			rule, list, ok := strings.Cut(test.Name, ": ")
			if !ok {
				t.Errorf(`%s: the test %q is not named "<alert>: <kind>, <kind>"`, file, test.Name)
			}
			alert, _, _ := strings.Cut(rule, " ")
			if alert+".yml" != filepath.Base(file) {
				t.Errorf("%s: the test %q is of another alert", file, test.Name)
			}
			fires, silent := false, false
			for _, r := range test.Rules {
				if r.Alertname != alert {
					t.Errorf("%s: the test %q looks at %s", file, test.Name, r.Alertname)
				}
				fires = fires || len(r.Alerts) > 0
				silent = silent || len(r.Alerts) == 0
			}
			for kind := range strings.SplitSeq(list, ", ") {
				kinds[rule] = append(kinds[rule], kind)
				if (kind == "positive" && !fires) || (kind == "negative" && (fires || !silent)) {
					t.Errorf("%s: the test %q is not %s", file, test.Name, kind)
				}
			}
		}
	}
	for _, r := range loadAlerts(t) {
		want := kindsOfOtherRules
		if r.Labels["scope"] != "" {
			want = kindsOfEntityRules
		}
		for _, kind := range want {
			if !slices.Contains(kinds[r.name()], kind) {
				t.Errorf("%s has no test of the kind %q", r.name(), kind)
			}
		}
		for _, kind := range kinds[r.name()] {
			if !slices.Contains(want, kind) {
				t.Errorf("%s has a test of the unknown kind %q", r.name(), kind)
			}
		}
		delete(kinds, r.name()) // what is left is of no rule
	}
	for name := range kinds {
		t.Errorf("there are tests of %q, which is no rule", name)
	}
}
