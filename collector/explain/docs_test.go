package explain

import (
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
)

// TestEvidenceIsDocumented holds the README to the names of the numbers that causes are told by.
func TestEvidenceIsDocumented(t *testing.T) {
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	documented := map[string]bool{}
	_, section, _ := strings.Cut(string(readme), "\n## Evidence\n")
	for _, cell := range regexp.MustCompile("(?m)^\\| (`[^|]*`) \\|").FindAllStringSubmatch(section, -1) {
		for name := range strings.SplitSeq(cell[1], ", ") {
			documented[strings.Trim(name, "`")] = false
		}
	}
	files, err := filepath.Glob("../cause/*.go")
	if err != nil {
		t.Fatal(err)
	}
	files = append(files, "../judgement/flush.go", "../sharing/sharing.go", "../poller/snapshot.go") // of the whole fleet
	for _, file := range files {
		source, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		for _, name := range regexp.MustCompile(`(?:Name: |\.since\()"([a-z_]+)"`).FindAllStringSubmatch(string(source), -1) {
			if _, ok := documented[name[1]]; !ok {
				t.Errorf("README.md does not say what %s is", name[1])
			}
			documented[name[1]] = true
		}
	}
	if len(documented) == 0 {
		t.Error("README.md has no table of evidence")
	}
	for name, exists := range documented {
		if !exists {
			t.Errorf("README.md tells of %s, which no cause is told by", name)
		}
	}
}

// TestEveryFieldIsDocumented holds the README to the JSON form.
func TestEveryFieldIsDocumented(t *testing.T) {
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	var visit func(reflect.Type)
	visit = func(typ reflect.Type) {
		for typ.Kind() == reflect.Pointer || typ.Kind() == reflect.Slice {
			typ = typ.Elem()
		}
		if typ.Kind() != reflect.Struct || typ.PkgPath() == "time" {
			return
		}
		for f := range typ.Fields() {
			name, ok := f.Tag.Lookup("json")
			if !ok {
				t.Errorf("%s.%s has no name in JSON", typ, f.Name)
			}
			if !strings.Contains(string(readme), "`"+name+"`") && !strings.Contains(string(readme), "."+name+"`") {
				t.Errorf("README.md does not say what %s of %s is", name, typ)
			}
			visit(f.Type)
		}
	}
	visit(reflect.TypeFor[Explanation]())
}
