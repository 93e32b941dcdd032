package conformance

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"litellm_budget_exporter/conformance/recorded"
)

func TestChecksHoldOfEveryRecordedRelease(t *testing.T) {
	for _, release := range recorded.Releases() {
		answers, err := Recorded(release)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range Checks {
			t.Run(release+"/"+c.Name, func(t *testing.T) {
				if err := c.Run(answers); err != nil {
					t.Error(err)
				}
			})
		}
	}
}

func TestRecordedAnswersDoNotDifferFromThemselves(t *testing.T) {
	for _, release := range recorded.Releases() {
		answers, err := Recorded(release)
		if err != nil {
			t.Fatal(err)
		}
		odd, err := RecordedOdd(release)
		if err != nil {
			t.Fatal(err)
		}
		if ds := append(answers.Differences(answers), odd.Answers.Differences(odd.Answers)...); len(ds) > 0 {
			t.Errorf("%s: %v", release, ds)
		}
	}
}

func TestNewestFirst(t *testing.T) {
	for name, tc := range map[string]struct {
		created []string
		want    bool
	}{
		"falling":                   {[]string{"2026-11-24T12:20:24.032000Z", "2026-11-24T12:20:23.900000Z"}, true},
		"rising":                    {[]string{"2026-11-24T12:20:23.900000Z", "2026-11-24T12:20:24.032000Z"}, false},
		"no fraction, the older":    {[]string{"2026-11-24T12:20:24.032000Z", "2026-11-24T12:20:24Z"}, true},
		"no fraction, the newer":    {[]string{"2026-11-24T12:20:24Z", "2026-11-24T12:20:24.032000Z"}, false},
		"made in one and the same":  {[]string{"2026-11-24T12:20:24.032000Z", "2026-11-24T12:20:24.032000Z"}, true},
		"too few to have an order":  {[]string{"2026-11-24T12:20:24Z"}, false},
		"nothing that has an order": {nil, false},
	} {
		t.Run(name, func(t *testing.T) {
			var keys []key
			for _, at := range tc.created {
				created, err := time.Parse(time.RFC3339, at)
				if err != nil {
					t.Fatal(err)
				}
				keys = append(keys, key{CreatedAt: created})
			}
			if err := newestFirst(keys); (err == nil) != tc.want {
				t.Errorf("newest first: %v, want %t", err, tc.want)
			}
		})
	}
}

func TestDifferences(t *testing.T) {
	answer := func(status int, body string) recorded.Answer {
		return recorded.Answer{Status: status, Body: json.RawMessage(body)}
	}
	want := answer(200, `{"keys":[{"spend":1.5,"max_budget":null,"table":null},{"spend":2,"max_budget":3,"table":{"id":"b"}}],"total":2}`)
	for name, tc := range map[string]struct {
		got  recorded.Answer
		want []string
	}{
		"other amounts": {answer(200, `{"keys":[{"spend":9,"max_budget":1,"table":null}],"total":1}`), nil},
		"no rows":       {answer(200, `{"keys":[],"total":0}`), nil},
		"status":        {answer(400, `{"keys":[],"total":0}`), []string{"status 400, recorded 200"}},
		"null":          {answer(200, `{"keys":[{"spend":null,"max_budget":1,"table":null}],"total":1}`), []string{".keys[].spend: null, recorded number"}},
		"type":          {answer(200, `{"keys":[],"total":"1"}`), []string{".total: string, recorded number"}},
		"missing field": {answer(200, `{"keys":[{"spend":1,"table":null}],"total":1}`), []string{".keys[].max_budget: missing"}},
		"new field":     {answer(200, `{"keys":[],"total":1,"page":1}`), []string{".page: not recorded"}},
		"nested field":  {answer(200, `{"keys":[{"spend":1,"max_budget":1,"table":{"name":"b"}}],"total":1}`), []string{".keys[].table.name: not recorded", ".keys[].table.id: missing"}},
	} {
		t.Run(name, func(t *testing.T) {
			if got := Differences(want, tc.got); !slices.Equal(got, tc.want) {
				t.Errorf("got %q, want %q", got, tc.want)
			}
		})
	}
}

func TestDifferencesOfLengthsAndRefusals(t *testing.T) {
	answer := func(body string) Answers { return Answers{"a": {Status: 200, Body: json.RawMessage(body)}} }
	row := func(key, team, message string) string {
		return `{"data":[{"api_key":"` + key + `","team_id":"` + team + `","metadata":{"error_information":{"error_class":"BudgetExceededError","error_message":"` + message + `"}}}],"total":1}`
	}
	hash := strings.Repeat("a", 64)
	for name, tc := range map[string]struct {
		want, got string
		same      bool
	}{
		"length":         {`{"keys":["a","b"],"total_count":2}`, `{"keys":["a"],"total_count":2}`, false},
		"total":          {`{"keys":["a"],"total_count":2}`, `{"keys":["a"],"total_count":1}`, false},
		"time":           {`{"created":1}`, `{"created":2}`, true},
		"another amount": {row(hash, "t", "Team=t Current cost: 1.5"), row(strings.Repeat("b", 64), "t", "Team=t Current cost: 2.5"), true},
		"another logger": {row(hash, "t", "Team=t Current cost: 1.5"), row("Bearer sk-a", "t", "Team=t Current cost: 1.5"), false},
		"no team":        {row(hash, "t", "Team=t Current cost: 1.5"), row(hash, "", "Team=t Current cost: 1.5"), false},
		"another text":   {row(hash, "t", "Team=t Current cost: 1.5"), row(hash, "t", "Current cost: 1.5"), false},
	} {
		if ds := answer(tc.want).Differences(answer(tc.got)); (len(ds) == 0) != tc.same {
			t.Errorf("%s: %q, want none: %t", name, ds, tc.same)
		}
	}
}

func TestOddCounters(t *testing.T) {
	got := OddCounters(map[string]Counter{
		"spend:key:{over-team}": {}, "spend:team:{prefix}-at-cap": {}, "spend:team_member:{prefix}-poor-member:{prefix}-members": {},
		"spend:key:{team}": {}, "spend:team:{prefix}-team": {}, "spend:user:{prefix}-user": {},
	})
	if len(got) != 3 {
		t.Errorf("picked %v", got)
	}
}

func TestDifferencesOfErrors(t *testing.T) {
	answer := func(body string) recorded.Answer { return recorded.Answer{Status: 400, Body: json.RawMessage(body)} }
	want := answer(`{"error":{"message":"Budget has been exceeded! Key=rec1-tiny (sk-...abcd) Current cost: 0.001, Max budget: 0.0008","type":"budget_exceeded","param":null,"code":"400"}}`)
	same := answer(`{"error":{"message":"Budget has been exceeded! Key=rec2-tiny (sk-...efgh) Current cost: 1e-05, Max budget: 7.0","type":"budget_exceeded","param":null,"code":"400"}}`)
	if ds := Differences(want, answer(strings.ReplaceAll(string(same.Body), "1e-05", "3.5"))); len(ds) > 0 {
		t.Errorf("same error: %q", ds)
	}
	for _, change := range [][2]string{{"budget_exceeded", "auth_error"}, {`"param":null`, `"param":"None"`}, {`"code":"400"`, `"code":"429"`}, {"Key=rec1-tiny (sk-...abcd) ", ""}} {
		if ds := Differences(want, answer(strings.Replace(string(want.Body), change[0], change[1], 1))); len(ds) == 0 {
			t.Errorf("%q in place of %q is no difference", change[1], change[0])
		}
	}
}

func TestCounterDifferences(t *testing.T) {
	good := Counter{Type: "string", Value: "0.5", PTTL: 59_000}
	want := map[string]Counter{"spend:key:{team}": good}
	for name, tc := range map[string]struct {
		got  map[string]Counter
		want int
	}{
		"another amount": {map[string]Counter{"spend:key:{team}": {"string", "17", 1}}, 0},
		"missing":        {nil, 1},
		"unknown name":   {map[string]Counter{"spend:key:{team}": good, "spend:key:{tiny}": good}, 1},
		"encoding":       {map[string]Counter{"spend:key:{team}": {"string", `"0.5"`, 59_000}}, 1},
		"immortal":       {map[string]Counter{"spend:key:{team}": {"string", "0.5", -1}}, 1},
		"long life":      {map[string]Counter{"spend:key:{team}": {"string", "0.5", 61_000}}, 1},
		"type":           {map[string]Counter{"spend:key:{team}": {"hash", "0.5", 59_000}}, 1},
	} {
		if ds := CounterDifferences(want, tc.got); len(ds) != tc.want {
			t.Errorf("%s: %q", name, ds)
		}
	}
}

func TestRecordedCountersHaveNoHashes(t *testing.T) {
	for _, release := range recorded.Releases() {
		counters, err := RecordedCounters(release)
		if err != nil {
			t.Fatal(err)
		}
		if _, there := counters["spend:team_member:{prefix}-user:{prefix}-team"]; !there {
			t.Errorf("%s: no member's counter in %v", release, counters)
		}
		for name := range counters {
			if strings.ContainsAny(strings.NewReplacer("spend:", "", "window:", "").Replace(name), "0123456789") && !strings.Contains(name, "window:") {
				t.Errorf("%s: %s", release, name)
			}
		}
	}
}
