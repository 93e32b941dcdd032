package explain

import (
	"os"
	"reflect"
	"strings"
	"testing"
)

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
