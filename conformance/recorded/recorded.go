// Package recorded holds answers that real LiteLLM releases gave, and what their database and Redis held
// at that moment, for the tests of everything that reads LiteLLM or plays it.
package recorded

import (
	"embed"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

//go:embed */*.json
var files embed.FS

// Request is what LiteLLM was asked.
type Request struct {
	Method string          `json:"method"`
	Path   string          `json:"path"` // with the query
	Body   json.RawMessage `json:"body"` // nil = none
	Key    string          `json:"key"`  // the key that asked, by its name in about.json; "" = the recording's name tells
}

// Answer is one recorded answer of the management API, or of a chat request.
type Answer struct {
	Request Request           `json:"request"`
	Status  int               `json:"status"`
	Headers map[string]string `json:"headers"` // names in lower case
	Body    json.RawMessage   `json:"body"`
}

// Releases lists the recorded LiteLLM releases, oldest first.
func Releases() []string {
	entries, err := files.ReadDir(".")
	if err != nil {
		panic(err) // the root of an embedded tree is always there
	}
	var releases []string
	for _, e := range entries {
		releases = append(releases, e.Name())
	}
	slices.SortFunc(releases, func(a, b string) int { return slices.Compare(numbers(a), numbers(b)) })
	return releases
}

// numbers are the numbers of a release: 1.9.10 comes after 1.9.9.
func numbers(release string) (ns []int) {
	for part := range strings.SplitSeq(release, ".") {
		n, err := strconv.Atoi(part)
		if err != nil {
			panic(err) // the folders are named by whoever records
		}
		ns = append(ns, n)
	}
	return ns
}

// Load returns one answer of a release by the name of its recording: "key-list-full". It fails for a name
// that was not recorded, or that is no answer (see Raw).
func Load(release, name string) (Answer, error) {
	raw, err := Raw(release, name)
	if err != nil {
		return Answer{}, err
	}
	var a Answer
	if err := json.Unmarshal(raw, &a); err != nil {
		return Answer{}, fmt.Errorf("%s/%s.json: %w", release, name, err)
	}
	if a.Request.Method == "" || a.Body == nil {
		return Answer{}, fmt.Errorf("%s/%s.json holds no recorded answer", release, name)
	}
	return a, nil
}

// Raw returns a recording as it is: "redis" (every Redis key with value and remaining life), "database" (the
// spend columns), "about" (the hashes of the keys by name), "routes", "odd" (answers to requests that are refused or at
// the edge, and the counters that they left), or any answer.
func Raw(release, name string) ([]byte, error) {
	return files.ReadFile(release + "/" + name + ".json")
}
