//go:build conformance

package real

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"litellm_budget_exporter/conformance"
)

var record = flag.Bool("record", false, "write the answers to odd requests to conformance/recorded/RELEASE/odd.json in place of comparing them with it")

// testOdd sends what is refused or at the edge, and holds what comes of it against the recording of this release.
func testOdd(t *testing.T, s *stack) {
	t.Helper()
	organizations := s.makeOdd(t)
	answers := s.askUntilRefused(t, conformance.OddTraffic(organizations))
	s.logsRefusal(t, `Team=`+prefix+`-over %`)
	s.logsRefusal(t, `Key%over 1d budget%`)
	for _, name := range conformance.Odd {
		if hash := s.population.Hashes[name]; hash != "" && name != "restricted" { // which is refused before it is looked at
			s.touches(t, hash)
		}
	}
	got := conformance.OddRecording{Counters: map[string]conformance.Counter{}, Answers: answers}
	for name, c := range conformance.OddCounters(s.counters(t)) {
		got.Counters[strings.TrimPrefix(name, s.counterName(""))] = c
	}
	reads, err := s.population.Ask(s.client, s.urls[0], conformance.OddReads)
	if err != nil {
		t.Fatal(err)
	}
	maps.Copy(got.Answers, reads)
	if *record {
		s.write(t, got)
		return
	}
	want, err := conformance.RecordedOdd(recording(t, s.release))
	if err != nil {
		t.Fatal(err)
	}
	const member, log = "chat-over-member", "refusals"
	if !since(s.release, "1.84.0") && !bytes.Contains(got.Answers[member].Body, []byte("in Team=")) {
		t.Log("the member was refused by an earlier check, for the database knew of its spend already; that says less, in the log too")
		for _, a := range []conformance.Answers{want.Answers, got.Answers} {
			delete(a, member)
			delete(a, log)
		}
	}
	for _, d := range append(conformance.CounterDifferences(want.Counters, got.Counters), want.Answers.Differences(got.Answers)...) {
		t.Error(d)
	}
}

// askUntilRefused repeats what is to be repeated until it is refused: a request is counted only after it was answered.
func (s *stack) askUntilRefused(t *testing.T, exchanges []conformance.Exchange) conformance.Answers {
	t.Helper()
	answers := conformance.Answers{}
	for _, e := range exchanges {
		repeat := e.Times > 1
		e.Times = 1
		eventually(t, func() error {
			a, err := s.population.Ask(s.client, s.urls[0], []conformance.Exchange{e})
			if err != nil {
				return err
			}
			maps.Copy(answers, a)
			if repeat && a[e.Name].Status == http.StatusOK {
				return fmt.Errorf("%s is admitted", e.Name)
			}
			return nil
		})
	}
	return answers
}

// makeOdd makes the keys that conformance.Odd names, and says whether there are organizations.
func (s *stack) makeOdd(t *testing.T) (organizations bool) {
	t.Helper()
	const budget, atCap = 0.0008, 0.0005
	window := []map[string]any{{"budget_duration": "1d", "max_budget": budget}}
	name := func(what string) string { return prefix + "-" + what }

	s.admin(t, "/team/new", map[string]any{"team_id": name("over"), "max_budget": budget}, nil)
	s.admin(t, "/team/new", map[string]any{"team_id": name("at-cap"), "max_budget": atCap}, nil)
	s.admin(t, "/team/new", map[string]any{"team_id": name("over-window"), "budget_limits": window}, nil)
	s.admin(t, "/team/new", map[string]any{"team_id": name("members")}, nil)
	for user, body := range map[string]map[string]any{"poor": {"max_budget": budget}, "poor-member": {}} {
		body["user_id"], body["user_role"], body["auto_create_key"] = name(user), "internal_user", false
		s.admin(t, "/user/new", body, nil)
	}
	s.admin(t, "/team/member_add", map[string]any{
		"team_id": name("members"), "member": map[string]any{"role": "user", "user_id": name("poor-member")}, "max_budget_in_team": budget,
	}, nil)
	organizations = s.ask(t, "/organization/new", s.population.MasterKey, map[string]any{
		"organization_id": name("poor-org"), "organization_alias": name("poor-org"), "max_budget": budget, "models": []string{},
	}).status == http.StatusOK

	keys := map[string]map[string]any{
		"blocked":          {"blocked": true},
		"expired":          {"duration": "1s"},
		"restricted":       {"user_id": name("viewer"), "allowed_routes": []string{"/key/list"}},
		"over-team":        {"team_id": name("over")},
		"at-team-cap":      {"team_id": name("at-cap")},
		"over-team-window": {"team_id": name("over-window")},
		"over-member":      {"team_id": name("members"), "user_id": name("poor-member")},
		"over-user":        {"user_id": name("poor")},
		"over-window":      {"budget_limits": window},
	}
	if organizations {
		keys["over-organization"] = map[string]any{"organization_id": name("poor-org")}
	}
	for key, body := range keys {
		k := s.newKey(t, name(key), body)
		s.population.Bearers[key], s.population.Hashes[key] = k.raw, k.hash
	}
	eventually(t, func() error {
		if a := s.ask(t, "/key/info", s.population.Bearers["expired"], nil); a.status == http.StatusOK {
			return errors.New("the key has not expired")
		}
		return nil
	})
	return organizations
}

// touches waits until a key's requests, refused or not, have reached its row.
func (s *stack) touches(t *testing.T, hash string) {
	t.Helper()
	eventually(t, func() error {
		if s.psql(t, `SELECT last_active FROM "LiteLLM_VerificationToken" WHERE token = '`+hash+`'`) == "" {
			return fmt.Errorf("the row of %s does not tell that it was active", hash)
		}
		return nil
	})
}

// logsRefusal waits until the log has a refusal with such a message.
func (s *stack) logsRefusal(t *testing.T, message string) {
	t.Helper()
	eventually(t, func() error {
		if s.psql(t, `SELECT count(*) FROM "LiteLLM_SpendLogs" WHERE metadata->'error_information'->>'error_message' LIKE '%`+message+`'`) == "0" {
			return fmt.Errorf("no refusal is logged as %q", message)
		}
		return nil
	})
}

func anyOf[T any](items map[string]T) map[string]any {
	all := map[string]any{}
	for name, item := range items {
		all[name] = item
	}
	return all
}

// write makes a recording, without the keys, and without where LiteLLM is installed.
func (s *stack) write(t *testing.T, r conformance.OddRecording) {
	t.Helper()
	text := []byte("{\n")
	for _, part := range []struct {
		name  string
		items map[string]any
	}{{"counters", anyOf(r.Counters)}, {"answers", anyOf(r.Answers)}} {
		text = fmt.Appendf(text, " %q: {\n", part.name)
		for _, name := range slices.Sorted(maps.Keys(part.items)) { // a line each
			item, err := json.Marshal(part.items[name])
			if err != nil {
				t.Fatal(err)
			}
			text = fmt.Appendf(text, "  %q: %s,\n", name, item)
		}
		text = append(bytes.TrimSuffix(text, []byte(",\n")), "\n },\n"...)
	}
	text = append(bytes.TrimSuffix(text, []byte(",\n")), "\n}\n"...)
	for name, bearer := range s.population.Bearers {
		text = bytes.ReplaceAll(text, []byte(bearer), []byte("sk-"+strings.ReplaceAll(name, "-", "_")))
	}
	text = regexp.MustCompile(`/[\w./-]+/site-packages/`).ReplaceAll(text, nil)
	path := filepath.Join("..", "recorded", s.release, "odd.json")
	if err := os.WriteFile(path, text, 0o644); err != nil {
		t.Fatal(err)
	}
	t.Logf("recorded %d answers: %s", len(r.Answers), path)
}
