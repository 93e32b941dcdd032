package config

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	commoncfg "github.com/prometheus/common/config"
	"gopkg.in/yaml.v3"

	"litellm_budget_exporter/collector/budget"
	"litellm_budget_exporter/collector/counters"
	"litellm_budget_exporter/collector/refusals"
)

// litellmOnly is the least that an environment must say.
var litellmOnly = environment{"LITELLM_URL": "http://litellm.test:4000", "LITELLM_API_KEY": "sk-SECRET"}

// with is e and some more variables, given as name and value in turn.
func (e environment) with(pairs ...string) environment {
	e = maps.Clone(e)
	for pair := range slices.Chunk(pairs, 2) {
		e[pair[0]] = pair[1]
	}
	return e
}

func load(t *testing.T, file string, e environment) *Config {
	t.Helper()
	c, err := Load(file, e.lookup)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// plain is a configuration of which everything can be compared: passwords are read, the essence of TLS is taken.
func plain(t *testing.T, c *Config) (Config, redis) {
	t.Helper()
	flat := *c
	flat.LiteLLM.HTTP = commoncfg.HTTPClientConfig{}
	flat.Redis = nil
	return flat, plainRedis(t, c.Redis)
}

// redis is counters.Options in a form that can be compared.
type redis struct {
	Mode                               counters.Mode
	Addresses, MasterName              string
	DB                                 int
	Username, Password                 string
	SentinelUsername, SentinelPassword string
	TLS                                string // "" = none; else the server name, and whether anything is skipped
	Namespace                          string
	Timeout                            time.Duration
}

func plainRedis(t *testing.T, o *counters.Options) redis {
	t.Helper()
	if o == nil {
		return redis{}
	}
	read := func(password func() (string, error)) string {
		if password == nil {
			return ""
		}
		p, err := password()
		if err != nil {
			t.Error(err)
		}
		return p
	}
	r := redis{
		Mode: o.Mode, Addresses: strings.Join(o.Addresses, " "), MasterName: o.MasterName, DB: o.DB,
		Username: o.Username, Password: read(o.Password),
		SentinelUsername: o.SentinelUsername, SentinelPassword: read(o.SentinelPassword),
		Namespace: o.Namespace, Timeout: o.Timeout,
	}
	if o.TLS != nil {
		r.TLS = fmt.Sprintf("name=%s", o.TLS.ServerName)
		if o.TLS.InsecureSkipVerify {
			r.TLS += " unverified"
		}
		if o.TLS.VerifyConnection != nil {
			r.TLS += " but for the chain"
		}
	}
	return r
}

func standard() Config {
	return Config{
		LiteLLM:   LiteLLM{URL: "http://litellm.test:4000", Timeout: 30 * time.Second, MaxBusyRatio: 0.25},
		Intervals: Intervals{Inventory: time.Minute, Counters: 15 * time.Second},
		Staleness: Staleness{LiteLLM: 5 * time.Minute, Redis: 2 * time.Minute},
		Scopes:    []budget.Scope{budget.Key, budget.Team},
		Tolerance: Tolerance{USD: 0.01, Ratio: 0.01, WriteLag: 15 * time.Second},
		Limits:    Limits{EntitiesPerScope: 10000},
		Refusals:  refusals.Auto,
	}
}

// TestDefaults: what a configuration leaves out is as documented.
func TestDefaults(t *testing.T) {
	for _, file := range []string{"", "testdata/good/empty.yml", "testdata/good/comments.yml", "testdata/good/null-sections.yml", "testdata/good/minimal.yml"} {
		t.Run(file, func(t *testing.T) {
			c := load(t, file, litellmOnly)
			if c.Redis != nil {
				t.Error("there is a Redis")
			}
			got, _ := plain(t, c)
			if !reflect.DeepEqual(got, standard()) {
				t.Errorf("got  %+v\nwant %+v", fields(got), fields(standard()))
			}
			http := c.LiteLLM.HTTP
			if a := http.Authorization; a == nil || a.Type != "Bearer" || a.Credentials != "sk-SECRET" || http.FollowRedirects || !http.EnableHTTP2 {
				t.Errorf("got authorization %+v, follow_redirects %v, enable_http2 %v", a, http.FollowRedirects, http.EnableHTTP2)
			}
		})
	}
}

// fields shows a configuration without the formatting that hides secrets.
func fields(c Config) any {
	type plain LiteLLM
	return []any{plain(c.LiteLLM), c.Intervals, c.Staleness, c.Scopes, c.Entities, c.Tolerance, c.Limits, c.Refusals}
}

func TestComplete(t *testing.T) {
	c := load(t, "testdata/good/complete.yml", environment{})
	got, gotRedis := plain(t, c)
	want := Config{
		LiteLLM:   LiteLLM{URL: "https://litellm.test/prefix", Timeout: 90 * time.Second, Version: "1.84.0", MaxBusyRatio: 1},
		Intervals: Intervals{Inventory: time.Second, Counters: 2 * time.Second},
		Staleness: Staleness{LiteLLM: time.Second, Redis: 2 * time.Second},
		Scopes:    []budget.Scope{budget.Team, budget.Key},
		Entities:  Entities{Keys: []string{strings.Repeat("0123456789abcdef", 4)}, Teams: []string{"growth", "42"}},
		Tolerance: Tolerance{USD: 0, Ratio: 1, WriteLag: 20 * time.Second},
		Limits:    Limits{EntitiesPerScope: 1},
		Refusals:  refusals.On,
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", fields(got), fields(want))
	}
	wantRedis := redis{
		Mode: counters.Sentinel, MasterName: "main", DB: 2, Username: "exporter", Password: "SECRET-redis",
		Addresses:        "sentinel-1.test:26379 sentinel-2.test:5000 [::1]:26379 [fe80::1]:5000",
		SentinelUsername: "watcher", SentinelPassword: "SECRET-sentinel", TLS: "name=", Namespace: "litellm", Timeout: 500 * time.Millisecond,
	}
	if gotRedis != wantRedis {
		t.Errorf("got  %+v\nwant %+v", gotRedis, wantRedis)
	}
	http := c.LiteLLM.HTTP
	if got, want := http.Authorization.CredentialsFile, "testdata/good/secrets/litellm"; got != want {
		t.Errorf("credentials_file: got %q, want %q", got, want)
	}
	if http.TLSConfig.ServerName != "proxy.test" || http.ProxyURL.Host != "proxy.test:3128" || http.HTTPHeaders.Headers["X-Team"].Values[0] != "budgets" {
		t.Error("the fields of the HTTP client are not taken over")
	}
}

// TestCredentials: each way to authenticate at LiteLLM reaches the HTTP client, and wins over the environment.
func TestCredentials(t *testing.T) {
	const file = "testdata/good/secrets/litellm"
	tests := map[string]func(commoncfg.HTTPClientConfig) bool{
		"minimal": func(c commoncfg.HTTPClientConfig) bool { return c.Authorization.Credentials == "sk-SECRET" },
		"authorization": func(c commoncfg.HTTPClientConfig) bool {
			return c.Authorization.CredentialsFile == file && c.Authorization.Type == "Bearer"
		},
		"basic-auth": func(c commoncfg.HTTPClientConfig) bool {
			return c.Authorization == nil && c.BasicAuth.PasswordFile == file
		},
		"oauth2": func(c commoncfg.HTTPClientConfig) bool {
			return c.Authorization == nil && c.OAuth2.ClientSecretFile == file
		},
	}
	for name, right := range tests {
		t.Run(name, func(t *testing.T) {
			e := environment{"LITELLM_URL": "http://other.test", "LITELLM_API_KEY": "sk-other"}
			if c := load(t, "testdata/good/"+name+".yml", e); !right(c.LiteLLM.HTTP) || c.LiteLLM.URL == "http://other.test" {
				t.Errorf("the file's credential or URL is not in use")
			}
		})
	}
	t.Run("header", func(t *testing.T) {
		if c := load(t, "testdata/good/key-in-header.yml", environment{}); c.LiteLLM.HTTP.Authorization != nil || c.LiteLLM.HTTP.HTTPHeaders.Headers["X-Litellm-Key"].Files[0] != file {
			t.Error("the header is not what authenticates")
		}
		if c := load(t, "testdata/good/key-in-header.yml", litellmOnly); c.LiteLLM.HTTP.Authorization.Credentials != "sk-SECRET" {
			t.Error("the environment's key is not sent besides the header")
		}
	})
}

func TestRedisInFile(t *testing.T) {
	// A Redis given in the file leaves nothing to the environment.
	e := environment{"REDIS_HOST": "other.test", "REDIS_PASSWORD": "other", "REDIS_SSL": "True", "REDIS_DB": "9"}
	tests := map[string]redis{
		"redis-null":          {},
		"redis-url":           {Mode: "standalone", Addresses: "redis.test:6379", DB: 3, Username: "exporter", Password: "SEC/RET", TLS: "name=redis.test", Timeout: 3 * time.Second},
		"redis-url-completed": {Mode: "standalone", Addresses: "[::1]:6380", DB: 4, Username: "exporter", Password: "SECRET-redis", TLS: "name=redis.test", Timeout: 3 * time.Second},
		"redis-standalone":    {Mode: "standalone", Addresses: "redis.test:6379", TLS: "name=redis.test unverified", Timeout: 3 * time.Second},
		"redis-cluster":       {Mode: "cluster", Addresses: "a.test:6379 b.test:7001", TLS: "name=", Timeout: 3 * time.Second},
		"anchors":             {Mode: "standalone", Addresses: "redis.test:6379", Timeout: 2 * time.Second},
	}
	for name, want := range tests {
		t.Run(name, func(t *testing.T) {
			if got := plainRedis(t, load(t, "testdata/good/"+name+".yml", e).Redis); got != want {
				t.Errorf("got  %+v\nwant %+v", got, want)
			}
		})
	}
}

// TestPasswordFileIsReadAgain: a password that was replaced is seen without a reload, and one that vanished is
// an error rather than no password.
func TestPasswordFileIsReadAgain(t *testing.T) {
	file := filepath.Join(t.TempDir(), "password")
	write := func(content string) {
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("first\n")
	c := load(t, "", litellmOnly.with("REDIS_HOST", "redis.test", "REDIS_PASSWORD_FILE", file))
	for _, want := range []string{"first", "second"} {
		write(want + "\n")
		if got, err := c.Redis.Password(); got != want || err != nil {
			t.Errorf("got %q, %v, want %q", got, err, want)
		}
	}
	for _, gone := range []func(){func() { write("") }, func() { _ = os.Remove(file) }} {
		gone()
		if got, err := c.Redis.Password(); got != "" || err == nil || !strings.Contains(err.Error(), file) {
			t.Errorf("got %q, %v, want an error that names the file", got, err)
		}
	}
}

// TestSecretsNeverShow: no way of printing a configuration shows a secret.
func TestSecretsNeverShow(t *testing.T) {
	secrets := litellmOnly.with("REDIS_URL", "rediss://user:SECRET@redis.test")
	for _, file := range []string{"", "testdata/good/minimal.yml", "testdata/good/complete.yml", "testdata/good/redis-url.yml"} {
		c := load(t, file, secrets)
		c.LiteLLM.HTTP.TLSConfig.Key = "SECRET" // held by value, so that fmt gets at it
		for _, v := range []any{c, *c, c.LiteLLM, &c.LiteLLM, c.Redis} {
			texts := []string{fmt.Sprintf("%v", v), fmt.Sprintf("%+v", v), fmt.Sprintf("%#v", v), fmt.Sprintf("%s", v), fmt.Sprintf("%d", v)}
			if v != any(c.Redis) { // neither encoder takes functions
				j, err := json.Marshal(v)
				if err != nil {
					t.Fatal(err)
				}
				y, err := yaml.Marshal(v)
				if err != nil {
					t.Fatal(err)
				}
				texts = append(texts, string(j), string(y))
			}
			for _, text := range texts {
				if strings.Contains(text, "SEC") {
					t.Errorf("%s: %T shows a secret: %s", file, v, text)
				}
			}
		}
	}
}

// TestExample: the example is valid, names every field, and shows the defaults.
func TestExample(t *testing.T) {
	content, err := os.ReadFile("../../examples/litellm_budget_exporter.yml")
	if err != nil {
		t.Fatal(err)
	}
	secrets, err := filepath.Abs("testdata/good/secrets")
	if err != nil {
		t.Fatal(err)
	}
	c, err := Parse("example.yml", []byte(strings.ReplaceAll(string(content), "/run/secrets", secrets)), environment{}.lookup)
	if err != nil {
		t.Fatal(err)
	}
	got, _ := plain(t, c)
	want := standard()
	want.LiteLLM.URL = "https://litellm.example.com"
	want.Entities = Entities{Keys: []string{}, Teams: []string{}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", fields(got), fields(want))
	}
	if c.Redis == nil || c.Redis.Timeout != 3*time.Second {
		t.Errorf("redis: got %+v", c.Redis)
	}

	sections, _ := fieldsOf(reflect.TypeFor[document]())
	http, _ := fieldsOf(reflect.TypeFor[commoncfg.HTTPClientConfig]())
	for section, shape := range sections {
		names := []string{section}
		if shape.Kind() == reflect.Struct {
			inner, _ := fieldsOf(shape)
			names = slices.AppendSeq(names, maps.Keys(inner))
		}
		for _, name := range names {
			if _, inherited := http[name]; !inherited && !strings.Contains(string(content), name) {
				t.Errorf("%s: %s is not mentioned", section, name)
			}
		}
	}
}

// TestAllGood: every good fixture loads.
func TestAllGood(t *testing.T) {
	files, err := filepath.Glob("testdata/good/*.yml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no fixtures: %v", err)
	}
	for _, file := range files {
		load(t, file, litellmOnly)
	}
}
