package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// environment is a lookup in a fixed environment.
type environment map[string]string

func (e environment) lookup(name string) (string, bool) {
	value, ok := e[name]
	return value, ok
}

// TestBad loads each bad fixture and compares the error with the fixture's "# want:" lines, in which FILE is
// the fixture. Whatever is called SECRET in a fixture must not be in the error.
func TestBad(t *testing.T) {
	files, err := filepath.Glob("testdata/bad/*.yml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no fixtures: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".yml"), func(t *testing.T) {
			content, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			var want []string
			for line := range strings.Lines(string(content)) {
				if text, ok := strings.CutPrefix(line, "# want: "); ok {
					want = append(want, strings.Replace(strings.TrimSpace(text), "FILE", file, 1))
				}
			}
			c, err := Load(file, environment{}.lookup)
			if err == nil {
				t.Fatalf("loaded; want the error\n%s", strings.Join(want, "\n"))
			}
			if c != nil {
				t.Error("a configuration came with the error")
			}
			if got := err.Error(); got != strings.Join(want, "\n") {
				t.Errorf("got\n%s\nwant\n%s", got, strings.Join(want, "\n"))
			}
			if strings.Contains(err.Error(), "SECRET") {
				t.Errorf("the error shows a secret: %v", err)
			}
		})
	}
}

func TestMissingFile(t *testing.T) {
	_, err := Load("testdata/missing.yml", environment{}.lookup)
	if want := "configuration file: open testdata/missing.yml: no such file or directory"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

func FuzzParse(f *testing.F) {
	for _, dir := range []string{"testdata/good", "testdata/bad"} {
		files, err := filepath.Glob(dir + "/*.yml")
		if err != nil {
			f.Fatal(err)
		}
		for _, file := range files {
			content, err := os.ReadFile(file)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(content)
		}
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		c, err := Parse("fuzz.yml", content, environment{}.lookup)
		if (c == nil) == (err == nil) {
			t.Errorf("got %v and %v: want one of the two", c, err)
		}
	})
}
