package config

import (
	"math"
	"slices"
	"strings"
	"time"

	commoncfg "github.com/prometheus/common/config"
	"github.com/prometheus/common/model"

	"litellm_budget_exporter/collector/budget"
	"litellm_budget_exporter/collector/refusals"
)

// document is the shape of the file.
type document struct {
	LiteLLM   litellmSection   `yaml:"litellm"`
	Redis     redisSection     `yaml:"redis"`
	Intervals intervalsSection `yaml:"intervals"`
	Staleness stalenessSection `yaml:"staleness"`
	Scopes    []budget.Scope   `yaml:"scopes"`
	Entities  entitiesSection  `yaml:"entities"`
	Tolerance toleranceSection `yaml:"tolerance"`
	Limits    limitsSection    `yaml:"limits"`
	Refusals  refusals.Mode    `yaml:"refusals"`
}

type litellmSection struct {
	URL          string                     `yaml:"url"`
	APIKey       commoncfg.Secret           `yaml:"api_key"`
	APIKeyFile   string                     `yaml:"api_key_file"`
	Version      string                     `yaml:"version"`
	Timeout      model.Duration             `yaml:"timeout"`
	MaxBusyRatio float64                    `yaml:"max_busy_ratio"`
	HTTP         commoncfg.HTTPClientConfig `yaml:",inline"`
}

type redisSection struct {
	URL                  commoncfg.Secret    `yaml:"url"` // may hold a password
	Mode                 string              `yaml:"mode"`
	Addresses            []string            `yaml:"addresses"`
	MasterName           string              `yaml:"master_name"`
	DB                   int                 `yaml:"db"`
	Username             string              `yaml:"username"`
	PasswordFile         string              `yaml:"password_file"`
	SentinelUsername     string              `yaml:"sentinel_username"`
	SentinelPasswordFile string              `yaml:"sentinel_password_file"`
	TLSConfig            commoncfg.TLSConfig `yaml:"tls_config"`
	Namespace            string              `yaml:"namespace"`
	Timeout              model.Duration      `yaml:"timeout"`
}

type intervalsSection struct {
	Inventory model.Duration `yaml:"inventory"`
	Counters  model.Duration `yaml:"counters"`
}

type stalenessSection struct {
	LiteLLM model.Duration `yaml:"litellm"`
	Redis   model.Duration `yaml:"redis"`
}

type entitiesSection struct {
	Keys  []string `yaml:"keys"`
	Teams []string `yaml:"teams"`
}

type toleranceSection struct {
	USD      float64        `yaml:"usd"`
	Ratio    float64        `yaml:"ratio"`
	WriteLag model.Duration `yaml:"write_lag"`
}

type limitsSection struct {
	EntitiesPerScope int `yaml:"entities_per_scope"`
}

// defaults is what an empty file means.
func defaults() document {
	http := commoncfg.DefaultHTTPClientConfig
	http.FollowRedirects = false // a credential never follows one
	return document{
		LiteLLM: litellmSection{
			HTTP:         http,
			Timeout:      model.Duration(30 * time.Second),
			MaxBusyRatio: 0.25,
		},
		Redis:     redisSection{Mode: "standalone", Timeout: model.Duration(3 * time.Second)},
		Intervals: intervalsSection{Inventory: model.Duration(time.Minute), Counters: model.Duration(15 * time.Second)},
		Staleness: stalenessSection{LiteLLM: model.Duration(5 * time.Minute), Redis: model.Duration(2 * time.Minute)},
		Scopes:    slices.Clone(budget.Scopes),
		Tolerance: toleranceSection{USD: 0.01, Ratio: 0.01, WriteLag: model.Duration(15 * time.Second)},
		Limits:    limitsSection{EntitiesPerScope: 10000},
		Refusals:  refusals.Auto,
	}
}

// config makes the configuration of a decoded file and the environment, and reports what is wrong with them.
func (l *loader) config(d *document) *Config {
	c := &Config{
		LiteLLM: l.litellm(&d.LiteLLM),
		Redis:   l.redis(&d.Redis),
		Intervals: Intervals{
			Inventory: l.atLeastSecond("intervals.inventory", d.Intervals.Inventory),
			Counters:  l.atLeastSecond("intervals.counters", d.Intervals.Counters),
		},
		Staleness: Staleness{
			LiteLLM: l.atLeast("staleness.litellm", d.Staleness.LiteLLM, "intervals.inventory", d.Intervals.Inventory),
			Redis:   l.atLeast("staleness.redis", d.Staleness.Redis, "intervals.counters", d.Intervals.Counters),
		},
		Scopes:   d.Scopes,
		Entities: Entities{Keys: d.Entities.Keys, Teams: d.Entities.Teams},
		Tolerance: Tolerance{
			USD:      d.Tolerance.USD,
			Ratio:    d.Tolerance.Ratio,
			WriteLag: l.positive("tolerance.write_lag", d.Tolerance.WriteLag),
		},
		Limits:   Limits{EntitiesPerScope: d.Limits.EntitiesPerScope},
		Refusals: d.Refusals,
	}
	l.checkScopes(c.Scopes)
	l.checkEntities(c)
	if usd := c.Tolerance.USD; !(usd >= 0) || math.IsInf(usd, 0) {
		l.wrong("tolerance.usd", "must be 0 or more US dollars, is %v", usd)
	}
	if ratio := c.Tolerance.Ratio; !(ratio >= 0 && ratio <= 1) {
		l.wrong("tolerance.ratio", "must be from 0 to 1, is %v", ratio)
	}
	if n := c.Limits.EntitiesPerScope; n < 1 {
		l.wrong("limits.entities_per_scope", "must be at least 1, is %d", n)
	}
	if !slices.Contains(refusals.Modes, c.Refusals) {
		l.wrong("refusals", "must be auto, on or off")
	}
	return c
}

func (l *loader) positive(field string, d model.Duration) time.Duration {
	if d <= 0 {
		l.wrong(field, "must be longer than 0s")
	}
	return time.Duration(d)
}

func (l *loader) atLeastSecond(field string, d model.Duration) time.Duration {
	if d < model.Duration(time.Second) {
		l.wrong(field, "must be at least 1s, is %v", d)
	}
	return time.Duration(d)
}

// atLeast refuses a staleness bound that would make every reading stale before the next one.
func (l *loader) atLeast(bound string, d model.Duration, interval string, every model.Duration) time.Duration {
	if d < every {
		l.wrong(bound, "must not be shorter than %s (%v), is %v: raise it or shorten the interval", interval, every, d)
	}
	return time.Duration(d)
}

func (l *loader) checkScopes(scopes []budget.Scope) {
	names := make([]string, len(budget.Scopes))
	for i, s := range budget.Scopes {
		names[i] = string(s)
	}
	if len(scopes) == 0 {
		l.wrong("scopes", "must name at least one of %s", strings.Join(names, ", "))
	}
	for i, s := range scopes {
		field := item("scopes", i)
		if !slices.Contains(budget.Scopes, s) {
			l.wrong(field, "unknown scope: known are %s", strings.Join(names, ", "))
		}
		if first := slices.Index(scopes, s); first < i {
			l.wrong(field, "repeats %s: remove one of the two", item("scopes", first))
		}
	}
}

// checkEntities checks the ids. It quotes none: a raw key may have been given for one.
func (l *loader) checkEntities(c *Config) {
	for i, key := range c.Entities.Keys {
		if field := item("entities.keys", i); l.checkID(field, "entities.keys", c.Entities.Keys, i) && !budget.IsKeyHash(key) {
			l.wrong(field, "must be a key's SHA-256 hash: 64 digits of lower-case hex")
		}
	}
	for i := range c.Entities.Teams {
		l.checkID(item("entities.teams", i), "entities.teams", c.Entities.Teams, i)
	}
	if len(c.Entities.Keys) > 0 && !slices.Contains(c.Scopes, budget.Key) {
		l.wrong("entities.keys", "names keys, but scopes leaves out key: add it there or remove them here")
	}
	if len(c.Entities.Teams) > 0 && !slices.Contains(c.Scopes, budget.Team) {
		l.wrong("entities.teams", "names teams, but scopes leaves out team: add it there or remove them here")
	}
}

// checkID makes the checks that ids of all scopes have in common, and says whether they passed.
func (l *loader) checkID(field, list string, ids []string, i int) bool {
	before := len(l.problems)
	switch first := slices.Index(ids, ids[i]); {
	case ids[i] == "":
		l.wrong(field, "is empty: give an id or remove it")
	case budget.IsRawKey(ids[i]):
		l.wrong(field, "is a raw key: give ids only, a key's being its SHA-256 hash (printf %%s \"$KEY\" | sha256sum)")
	case first < i:
		l.wrong(field, "repeats %s: remove one of the two", item(list, first))
	}
	return len(l.problems) == before
}
