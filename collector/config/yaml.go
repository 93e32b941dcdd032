package config

import (
	"bytes"
	"errors"
	"io"
	"maps"
	"net/url"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"

	commoncfg "github.com/prometheus/common/config"
	"github.com/prometheus/common/model"
	"gopkg.in/yaml.v3"
)

// read decodes the file over the defaults in the struct that d points to. The YAML library is strict too, but its errors do not say which
// field they mean and quote values; so everything is checked before it is decoded.
func (l *loader) read(content []byte, d any) {
	decoder := yaml.NewDecoder(bytes.NewReader(content))
	var root, second yaml.Node
	if err := decoder.Decode(&root); errors.Is(err, io.EOF) {
		return // an empty file
	} else if err != nil {
		line, text := syntaxError(err)
		l.wrongAt(line, "", "%s", text)
		return
	}
	if err := decoder.Decode(&second); !errors.Is(err, io.EOF) {
		l.wrongAt(second.Line, "", "must hold a single YAML document: remove the second")
		return
	}
	node := root.Content[0]
	if isNull(node) {
		return
	}
	l.check(node, reflect.TypeOf(d).Elem(), "")
	if len(l.problems) > 0 {
		return
	}
	if err := node.Decode(d); err != nil {
		l.wrongAt(node.Line, "", "cannot be decoded")
	}
}

var syntaxErrorText = regexp.MustCompile(`^yaml: (?:line (\d+): )?(.*)`)

// syntaxError is the line and text of an error of the YAML parser.
func syntaxError(err error) (line int, text string) {
	parts := syntaxErrorText.FindStringSubmatch(err.Error())
	if parts == nil {
		return 0, "is not valid YAML"
	}
	line, _ = strconv.Atoi(parts[1])
	if strings.HasPrefix(parts[2], "unknown anchor") { // the parser quotes it, and it may be a secret
		return line, "is not valid YAML: put values that begin with * in quotes"
	}
	return line, "is not valid YAML: " + parts[2]
}

// check reports what keeps a node from being decoded into a type, notes the lines of all fields, and takes
// fields that are null out of the node, so that they keep their defaults.
func (l *loader) check(n *yaml.Node, t reflect.Type, path string) {
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	before := len(l.problems)
	switch {
	case t == reflect.TypeFor[commoncfg.URL]():
		l.checkValue(n, t, path)
	case t.Kind() == reflect.Struct:
		fields, others := fieldsOf(t)
		l.checkMapping(n, fields, others, path)
		if len(l.problems) == before {
			l.validate(n, t, path)
		}
	case t.Kind() == reflect.Map && t.Elem().Kind() != reflect.Interface:
		l.checkMapping(n, nil, t.Elem(), path)
	case t.Kind() == reflect.Slice:
		if n.Kind != yaml.SequenceNode {
			l.wrongAt(n.Line, path, "must be a list")
			return
		}
		for i, v := range n.Content {
			at := item(path, i)
			l.given[at] = v.Line
			if isNull(v) {
				l.wrong(at, "is empty: give a value or remove it")
				continue
			}
			l.check(v, t.Elem(), at)
		}
	default:
		l.checkValue(n, t, path)
	}
}

// checkMapping checks a mapping whose fields have the given types; any other field has the type others, or is
// unknown when that is nil.
func (l *loader) checkMapping(n *yaml.Node, fields map[string]reflect.Type, others reflect.Type, path string) {
	if n.Kind != yaml.MappingNode {
		l.wrongAt(n.Line, path, "must be a mapping of names to values")
		return
	}
	var kept []*yaml.Node
	seen := map[string]int{}
	for pair := range slices.Chunk(n.Content, 2) {
		name, value := pair[0], pair[1]
		at := strings.TrimPrefix(path+"."+name.Value, ".")
		t, known := fields[name.Value]
		if !known {
			t = others
		}
		if t == nil {
			if !fieldName.MatchString(name.Value) || strings.HasPrefix(name.Value, "sk-") { // it may be a misplaced secret
				at = path
			}
			l.wrongAt(name.Line, at, "unknown field: known here are %s", strings.Join(slices.Sorted(maps.Keys(fields)), ", "))
			continue
		}
		if line, twice := seen[name.Value]; twice {
			l.wrongAt(name.Line, at, "is given on line %d already: remove one of the two", line)
			continue
		}
		seen[name.Value] = name.Line
		if isNull(value) {
			l.null[at] = true
			continue
		}
		l.given[at] = name.Line
		l.check(value, t, at)
		kept = append(kept, name, value)
	}
	n.Content = kept
}

var fieldName = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_-]{0,30}$`)

var tokenURL = regexp.MustCompile(`(^|\.)oauth2\.token_url$`)

var fileField = regexp.MustCompile(`_file$|\.files\[\d+\]$`)

// checkValue tries to decode a value. The library's error is not shown, for it quotes the value. A file that is
// named must be there.
func (l *loader) checkValue(n *yaml.Node, t reflect.Type, path string) {
	switch {
	case n.Decode(reflect.New(t).Interface()) != nil:
		l.wrongAt(n.Line, path, "must be %s", expected(t))
	case fileField.MatchString(path):
		if _, err := readSecret(l.path(n.Value)); err != nil {
			l.wrongAt(n.Line, path, "%v", err)
		}
	case tokenURL.MatchString(path): // a string to the library, whose error at the first request quotes it
		if u, err := url.Parse(n.Value); err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" {
			l.wrongAt(n.Line, path, "must be a URL that begins with http:// or https:// and names a host")
		}
	}
}

// validate runs the checks of a type of the Prometheus libraries. Their errors quote no values.
func (l *loader) validate(n *yaml.Node, t reflect.Type, path string) {
	v, ok := reflect.TypeAssert[interface{ Validate() error }](reflect.New(t))
	if !ok {
		return
	}
	err := n.Decode(v)
	if err == nil {
		err = v.Validate()
	}
	if err != nil {
		l.wrong(path, "%v", err)
	}
}

// expected names what a value of a type looks like.
func expected(t reflect.Type) string {
	switch t {
	case reflect.TypeFor[model.Duration]():
		return "a duration such as 30s or 5m"
	case reflect.TypeFor[commoncfg.TLSVersion]():
		return "one of TLS10, TLS11, TLS12, TLS13"
	case reflect.TypeFor[commoncfg.URL]():
		return "a URL"
	}
	switch t.Kind() {
	case reflect.Bool:
		return "true or false"
	case reflect.Int:
		return "a whole number"
	case reflect.Float64:
		return "a number"
	case reflect.Map:
		return "a mapping of names to values"
	default:
		return "a string"
	}
}

// fieldsOf lists the fields of a struct as YAML names them, inlined ones included, and the type of all other
// fields where the struct inlines a map. References into a secret manager (*_ref) are left out: there is none.
func fieldsOf(t reflect.Type) (fields map[string]reflect.Type, others reflect.Type) {
	fields = map[string]reflect.Type{}
	for _, f := range reflect.VisibleFields(t) {
		name, options, _ := strings.Cut(f.Tag.Get("yaml"), ",")
		switch {
		case len(f.Index) > 1 || !f.IsExported() || strings.HasSuffix(name, "_ref"):
		case options == "inline" && f.Type.Kind() == reflect.Map:
			others = f.Type.Elem()
		case options == "inline":
			inlined, _ := fieldsOf(f.Type)
			maps.Copy(fields, inlined)
		default:
			fields[name] = f.Type
		}
	}
	return fields, others
}

func isNull(n *yaml.Node) bool {
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	return n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null"
}
