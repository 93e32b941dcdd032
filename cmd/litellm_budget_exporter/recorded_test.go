package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"litellm_budget_exporter/collector/counters/redistest"
	"litellm_budget_exporter/conformance/recorded"
)

// TestRecordedReleases has the program read what real releases answered, and what was in their Redis then: every
// spend is shown as database and Redis had it, and so is the cap of a key that has it from its linked budget.
func TestRecordedReleases(t *testing.T) {
	for _, release := range recorded.Releases() {
		t.Run(release, func(t *testing.T) {
			t.Parallel()
			r := newRecording(t, release)
			l := httptest.NewServer(r)
			defer l.Close()
			e := start(t, map[string]string{
				"LITELLM_URL": l.URL, "LITELLM_API_KEY": "sk-recorded", "REDIS_URL": "redis://" + r.redis.Addr,
			})

			want := map[string]string{}
			for hash, spend := range r.reported {
				want[keySeries("spend_reported_usd", hash)] = spend
			}
			for hash, value := range r.counters {
				want[keySeries("redis_spend_usd", hash)] = value
			}
			want[keySeries("max_budget_usd", r.hashes["by-budget-id"])] = "7"
			want[keySeries("max_budget_usd", r.hashes["team"])] = "10"
			want[`litellm_budget_litellm_info{version="`+release+`"}`] = "1"
			eventually(t, func() error {
				metrics := e.get(t, "/metrics")
				for series, value := range want {
					if !strings.Contains(metrics, series+" "+value+"\n") {
						return fmt.Errorf("%s is not %s:\n%s", series, value,
							strings.Join(regexp.MustCompile(`(?m)^litellm_budget_(key_(sp|re|ma)|source).*$`).FindAllString(metrics, -1), "\n"))
					}
				}
				return nil
			})
		})
	}
}

func keySeries(name, hash string) string {
	return fmt.Sprintf("litellm_budget_key_%s{hashed_api_key=%q}", name, hash)
}

// recording answers with what one release answered, and keeps its counters in a real Redis.
type recording struct {
	t        *testing.T
	release  string
	redis    *redistest.Server
	hashes   map[string]string // of the keys, by name
	reported map[string]string // as the database had it, by hash
	counters map[string]string // by hash
}

func newRecording(t *testing.T, release string) *recording {
	t.Helper()
	r := &recording{t: t, release: release, redis: redistest.Standalone(t), reported: map[string]string{}, counters: map[string]string{}}
	var about struct {
		KeyHashes map[string]string `json:"key_hashes"`
	}
	r.raw("about", &about)
	r.hashes = about.KeyHashes

	var database struct {
		Keys []struct {
			Alias string      `json:"key_alias"`
			Spend json.Number `json:"spend"`
		} `json:"spend_in_LiteLLM_VerificationToken"`
	}
	r.raw("database", &database)
	for _, k := range database.Keys {
		_, name, _ := strings.Cut(k.Alias, "-")
		if hash, ok := r.hashes[name]; ok {
			r.reported[hash] = asExposed(t, k.Spend.String())
		}
	}

	var stored map[string]struct {
		Type  string `json:"type"`
		Value any    `json:"value"`
		PTTL  int64  `json:"pttl_ms"`
	}
	r.raw("redis", &stored)
	for name, v := range stored {
		hash, isKey := strings.CutPrefix(name, "spend:key:")
		if v.Type != "string" || !isKey {
			continue
		}
		text, _ := v.Value.(string)
		r.redis.Do(t, "SET", name, text, "PX", v.PTTL)
		if !strings.Contains(hash, ":") {
			r.counters[hash] = asExposed(t, text)
		}
	}
	if len(r.reported) < 8 || len(r.counters) < 8 {
		t.Fatalf("the recording has %d keys and %d counters", len(r.reported), len(r.counters))
	}
	return r
}

// asExposed is a number as the exposition writes it.
func asExposed(t *testing.T, text string) string {
	t.Helper()
	v, err := strconv.ParseFloat(text, 64)
	if err != nil {
		t.Fatal(err)
	}
	return strconv.FormatFloat(v, 'g', -1, 64)
}

func (r *recording) raw(name string, into any) {
	b, err := recorded.Raw(r.release, name)
	if err == nil {
		err = json.Unmarshal(b, into)
	}
	if err != nil {
		r.t.Fatal(err)
	}
}

// ServeHTTP answers a request with the recording of one like it, whatever page or credential was recorded.
func (r *recording) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	name := map[string]string{
		"/key/list":     "key-list-full",
		"/v2/team/list": "v2-team-list",
		"/budget/list":  "budget-list",
		"/v2/key/info":  "v2-key-info-unknown", // which leaves every key to be asked for singly
	}[req.URL.Path]
	switch hash := req.URL.Query().Get("key"); {
	case req.URL.Path == "/public/model_hub/info":
		_, _ = io.WriteString(w, `{"litellm_version":"`+r.release+`"}`)
		return
	case req.URL.Path == "/key/list" && req.URL.Query().Get("sort_by") == "created_at":
		name = "key-list-page-beyond"
	case req.URL.Path != "/key/info":
	case hash == r.hashes["by-budget-id"]:
		name = "key-info-by-budget-id"
	case hash == r.hashes["windows"]:
		name = "key-info-windows"
	default:
		name = "key-info-unknown"
	}
	a, err := recorded.Load(r.release, name)
	if err != nil {
		http.Error(w, err.Error(), http.StatusNotImplemented)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(a.Status)
	_, _ = w.Write(a.Body)
}
