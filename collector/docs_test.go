package collector

import (
	"os"
	"strings"
	"testing"
)

// TestReadmeHasTheMetricTables holds the README's metric tables against the catalogue; -update rewrites them.
func TestReadmeHasTheMetricTables(t *testing.T) {
	const (
		file  = "../README.md"
		begin = "<!-- metrics:begin -->\n"
		end   = "<!-- metrics:end -->"
	)
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, found := strings.Cut(string(content), begin)
	if !found {
		t.Fatalf("%s has no line %q", file, begin)
	}
	tables, after, found := strings.Cut(rest, end)
	if !found {
		t.Fatalf("%s has no line %q", file, end)
	}
	want := "\n" + Tables()
	if tables == want {
		return
	}
	if *update {
		if err := os.WriteFile(file, []byte(before+begin+want+end+after), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	t.Errorf("the metric tables are not those of the catalogue (go test ./collector -update rewrites them):\n%s", firstDifference(tables, want))
}
