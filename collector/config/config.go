package config

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	commoncfg "github.com/prometheus/common/config"

	"litellm_budget_exporter/collector/budget"
	"litellm_budget_exporter/collector/counters"
	"litellm_budget_exporter/collector/refusals"
)

// Config is a complete and validated configuration. Only Load and Parse make one.
type Config struct {
	LiteLLM   LiteLLM
	Redis     *counters.Options `json:"-" yaml:"-"` // nil: no Redis, the reported side only
	Intervals Intervals
	Staleness Staleness
	Scopes    []budget.Scope // at least one, none twice
	Entities  Entities
	Tolerance Tolerance
	Limits    Limits
	Refusals  refusals.Mode
}

// LiteLLM is where LiteLLM is and how it is read.
type LiteLLM struct {
	URL          string                     // http or https, may have a path prefix; no trailing slash, no credentials
	HTTP         commoncfg.HTTPClientConfig `json:"-" yaml:"-"` // has a credential and never follows redirects
	Timeout      time.Duration              // of one request
	Version      string                     // release to assume, "" = detect
	MaxBusyRatio float64                    // share of wall time that requests may make up, above 0 and at most 1
}

// Format prints l without HTTP: of that %#v, among others, would show secrets.
func (l LiteLLM) Format(s fmt.State, _ rune) {
	_, _ = io.WriteString(s, "{LiteLLM at "+l.URL+"}")
}

// Intervals says how often the sources are read.
type Intervals struct {
	Inventory time.Duration // at least 1 s
	Counters  time.Duration // at least 1 s
}

// Staleness says for how long after its last reading what a source said is still shown. It is never less than
// the interval in which that source is read.
type Staleness struct {
	LiteLLM time.Duration
	Redis   time.Duration
}

// Entities names the only entities to read. Both empty: all of them.
type Entities struct {
	Keys  []string // SHA-256 hashes in lower-case hex
	Teams []string // team ids
}

// Tolerance says how much divergence is normal.
type Tolerance struct {
	USD      float64       // floor, in US dollars
	Ratio    float64       // fraction of spend, 0 to 1; for diverging only
	WriteLag time.Duration // assumed until it is measured
}

// Limits bound what is exposed.
type Limits struct {
	EntitiesPerScope int // entities with series of their own, at least 1
}

// Load reads the configuration in file, and what it leaves out from the environment that lookup gives (as
// os.LookupEnv does). file "" means the environment only.
func Load(file string, lookup func(string) (string, bool)) (*Config, error) {
	var content []byte
	if file != "" {
		var err error
		if content, err = os.ReadFile(file); err != nil {
			return nil, fmt.Errorf("configuration file: %w", err)
		}
	}
	return Parse(file, content, lookup)
}

// Parse is Load with the content of the file given. name is the file's path: it is shown in errors, and
// relative paths in content are relative to its directory.
func Parse(name string, content []byte, lookup func(string) (string, bool)) (*Config, error) {
	l := &loader{
		name:   name,
		dir:    filepath.Dir(name),
		lookup: lookup,
		given:  map[string]int{},
		null:   map[string]bool{},
	}
	d := defaults()
	l.read(content, &d)
	if err := l.err(); err != nil {
		return nil, err
	}
	c := l.config(&d)
	if err := l.err(); err != nil {
		return nil, err
	}
	return c, nil
}
