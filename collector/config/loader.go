package config

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	commoncfg "github.com/prometheus/common/config"
)

// loader collects what one configuration says, and what is wrong with it.
type loader struct {
	name     string // the file; "" = environment only
	dir      string // what relative paths in the file are relative to
	lookup   func(string) (string, bool)
	given    map[string]int  // the line of each field that the file gives, by its path: "litellm.url", "scopes[0]"
	null     map[string]bool // the fields that the file gives as null
	problems []problem
}

// problem is one thing that is wrong.
type problem struct {
	file  string // "" = in the environment
	line  int    // 0 = not known
	field string // path of the field, or environment variable; "" = the file as a whole
	text  string // what is wrong and what to do; never the value of a string
}

func (p problem) Error() string {
	place := p.file
	if p.line > 0 {
		place += ":" + strconv.Itoa(p.line)
	}
	parts := slices.DeleteFunc([]string{place, p.field, p.text}, func(s string) bool { return s == "" })
	return strings.Join(parts, ": ")
}

// err is everything that is wrong, in the order of the file's lines, one to a line.
func (l *loader) err() error {
	slices.SortStableFunc(l.problems, func(a, b problem) int { return cmp.Compare(a.line, b.line) })
	errs := make([]error, len(l.problems))
	for i, p := range l.problems {
		errs[i] = p
	}
	return errors.Join(errs...)
}

// wrong reports a field of the file, on its own line or else on that of the mapping it is missing from.
func (l *loader) wrong(field, format string, args ...any) {
	p := problem{file: l.name, field: field, text: fmt.Sprintf(format, args...)}
	for path := field; path != "" && p.line == 0; path = parent(path) {
		p.line = l.given[path]
	}
	l.problems = append(l.problems, p)
}

// wrongAt reports a line of the file.
func (l *loader) wrongAt(line int, field, format string, args ...any) {
	l.problems = append(l.problems, problem{l.name, line, field, fmt.Sprintf(format, args...)})
}

// wrongVariable reports an environment variable.
func (l *loader) wrongVariable(name, format string, args ...any) {
	l.problems = append(l.problems, problem{field: name, text: fmt.Sprintf(format, args...)})
}

// item is the path of an item of a list.
func item(list string, i int) string { return list + "[" + strconv.Itoa(i) + "]" }

// parent is the path of the mapping or list that holds a field.
func parent(path string) string { return path[:max(strings.LastIndexAny(path, ".["), 0)] }

// path is the place of a file that is named in the configuration file.
func (l *loader) path(file string) string { return commoncfg.JoinDir(l.dir, file) }

// variable is the value of an environment variable; an empty one counts as not set.
func (l *loader) variable(name string) string {
	value, _ := l.lookup(name)
	return value
}

// secretVariable is a secret from a variable, or else the file that holds it from the variable name_FILE.
func (l *loader) secretVariable(name string) (value, file string) {
	value, file = l.variable(name), l.variable(name+"_FILE")
	switch {
	case value != "" && file != "":
		l.wrongVariable(name+"_FILE", "%s is set too: unset one of the two", name)
		file = ""
	case file != "":
		if _, err := readSecret(file); err != nil {
			l.wrongVariable(name+"_FILE", "%v", err)
		}
	}
	return value, file
}

// readSecret reads a file that holds one secret or certificate, white space around it aside.
func readSecret(path string) (string, error) {
	if path == "" || strings.HasPrefix(filepath.Base(path), "sk-") { // the key itself, given by mistake
		return "", errors.New("must be the path of a file: put the secret into one")
	}
	content, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("must be the path of a readable file: %w", err)
	}
	secret := strings.TrimSpace(string(content))
	if secret == "" {
		return "", fmt.Errorf("must be the path of a file with the secret in it: %s is empty", path)
	}
	return secret, nil
}
