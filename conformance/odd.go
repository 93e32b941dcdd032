package conformance

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"

	"litellm_budget_exporter/conformance/recorded"
)

// Odd are the keys, beside those of the population, whose requests are refused, by name. Every budget among them is
// 0.0008, which two requests use up; that of the team of at-team-cap is 0.0005, which one meets exactly.
//
//	blocked, expired   what they are called
//	restricted         a viewer's, with /key/list as its only route
//	over-team          of the team {prefix}-over, which has the budget
//	at-team-cap        of the team {prefix}-at-cap
//	over-team-window   of the team {prefix}-over-window, which has the budget for a day
//	over-member        of {prefix}-poor-member in the team {prefix}-members, whose budget there it is
//	over-user          of the user {prefix}-poor
//	over-organization  of the organization {prefix}-poor-org, where there can be organizations
//	over-window        has the budget for a day
var Odd = []string{
	"blocked", "expired", "restricted", "over-team", "at-team-cap", "over-team-window", "over-member", "over-user", "over-organization", "over-window",
}

// OddTraffic are requests to a model that are refused, or wrong. They are sent when the Reads are done.
func OddTraffic(organizations bool) []Exchange {
	odd := []Exchange{
		chat("chat-unknown-model", "unlimited", "gpt-none", ""),
		post("chat-no-model", chatPath, `{"messages":[{"role":"user","content":"hi"}]}`, "unlimited"),
		post("chat-no-messages", chatPath, `{"model":"gpt-mock"}`, "unlimited"),
		post("chat-no-json", chatPath, `{`, "unlimited"),
		chat("chat-unknown-key", Unknown, "gpt-mock", ""),
		chat("chat-malformed-key", Malformed, "gpt-mock", ""),
		chat("chat-no-key", Nobody, "gpt-mock", ""),
	}
	for _, name := range Odd {
		if name != "over-organization" || organizations {
			odd = append(odd, chat("chat-"+name, name, "gpt-mock", "").times(4))
		}
	}
	return odd
}

// OddReads come when the refusals of the OddTraffic are in the log.
var OddReads = []Exchange{
	get("refusals", refusals+"&page_size=100", Master),
	get("logs-page-beyond", refusals+"&page=99", Master),
	get("logs-page-0", "/spend/logs/v2?"+ever+"&page=0", Master),
	get("logs-size-101", refusals+"&page_size=101&page=99", Master),
	get("logs-size-1001", refusals+"&page_size=1001&page=99", Master),
	get("logs-no-time", "/spend/logs/v2", Master),
	get("logs-no-end", "/spend/logs/v2?start_date=2020-01-01", Master),
	get("logs-bad-time", "/spend/logs/v2?start_date=yesterday&end_date=today", Master),
	get("logs-unknown-order", "/spend/logs/v2?"+ever+"&sort_by=nothing", Master),
	get("logs-viewer", logged+"Team={prefix}-at-cap", "viewer"),
	get("logs-internal-user", logged+"Team={prefix}-at-cap", "personal"),

	get("own-blocked", "/key/info", "blocked"),
	get("own-expired", "/key/info", "expired"),
	get("own-over-window", "/key/info", "over-window"),
	get("own-over-team", "/key/info", "over-team"),
	get("own-over-member", "/key/info", "over-member"),
	get("own-over-user", "/key/info", "over-user"),
	get("own-malformed", "/key/info", Malformed),
	get("restricted", "/key/list?size=1", "restricted"),
	get("restricted-elsewhere", "/v2/team/list", "restricted"),

	get("key-info-blocked", "/key/info?key={blocked}", Master),
	get("key-info-expired", "/key/info?key={expired}", Master),
	get("key-info-another's", "/key/info?key={viewer}", "personal"),
	get("key-info-of-master", "/key/info", Master),
	get("key-info-no-hash", "/key/info?key=nothing", Master),

	post("batch-nothing", "/v2/key/info", `{}`, Master),
	post("batch-no-keys", "/v2/key/info", `{"keys":[]}`, Master),
	post("batch-no-json", "/v2/key/info", `{`, Master),
	post("batch-twice", "/v2/key/info", `{"keys":["{team}","{team}"]}`, Master),
	post("batch-by-alias", "/v2/key/info", `{"key_aliases":["{prefix}-team"]}`, Master),
	post("batch-viewer", "/v2/key/info", `{"keys":["{team}","{personal}"]}`, "viewer"),
	post("batch-internal-user", "/v2/key/info", `{"keys":["{team}","{personal}"]}`, "personal"),
	post("batch-of-another", "/v2/key/info", `{"keys":["{viewer}"]}`, "personal"),

	get("keys-page-0", "/key/list?page=0", Master),
	get("keys-page-text", "/key/list?page=one", Master),
	get("keys-page-empty", "/key/list?page=", Master),
	get("keys-size-0", "/key/list?size=0", Master),
	get("keys-size-text", "/key/list?size=all", Master),
	get("keys-unknown-order", "/key/list?sort_by=nothing", Master),
	get("keys-unknown-direction", "/key/list?sort_by=token&sort_order=sideways", Master),
	get("keys-by-hash", "/key/list?return_full_object=true&key_hash={team}", Master),
	get("keys-by-unknown-hash", "/key/list?return_full_object=true&key_hash="+zeroHash, Master),
	get("keys-of-team", "/key/list?return_full_object=true&team_id={prefix}-team", Master),
	get("keys-of-unknown-team", "/key/list?return_full_object=true&team_id=nope", Master),
	get("keys-by-part-of-alias", "/key/list?key_alias={prefix}-over", Master),

	get("teams-page-0", "/v2/team/list?page=0", Master),
	get("teams-size-101", "/v2/team/list?page_size=101", Master),
	get("teams-page-beyond", "/v2/team/list?page=99", Master),
	get("teams-by-id", "/v2/team/list?team_id={prefix}-team", Master),
	get("teams-by-unknown-id", "/v2/team/list?team_id=nope", Master),
	get("teams-unknown-order", "/v2/team/list?sort_by=nothing", Master),
	get("teams-own", "/v2/team/list?user_id={prefix}-user", "personal"),
	get("teams-of-nobody", "/v2/team/list", "unlimited"),
	get("team-info-no-id", "/team/info", Master),
	get("team-info-another's", "/team/info?team_id={prefix}-over", "personal"),
	get("team-info-own", "/team/info?team_id={prefix}-team", "personal"),
	get("team-info-all-keys", "/team/info?team_id={prefix}-team", Master),
	get("team-info-one-key", "/team/info?team_id={prefix}-team&key_limit=1", Master),
	get("team-info-no-key", "/team/info?team_id={prefix}-team&key_limit=0", Master),
	get("budgets-internal-user", "/budget/list", "personal"),

	get("health-details", "/health/readiness/details", Master),
	get("health-alive", "/health/liveliness", Nobody),
	get("model-hub", "/public/model_hub/info", Nobody),
	get("unknown-path", "/nothing", Master),
	post("wrong-method", "/key/list", `{}`, Master),
}

// ever is a time as wide as to need no clock.
const ever = "start_date=2020-01-01%2000:00:00&end_date=2100-01-01%2000:00:00"

// logged is a search in the messages of failures, refusals the one for those of budgets.
const (
	logged   = "/spend/logs/v2?" + ever + "&status_filter=failure&error_message="
	refusals = logged + "xceeded"
)

// OddRecording is what a release did with OddTraffic and OddReads.
type OddRecording struct {
	Counters map[string]Counter `json:"counters"` // that the traffic left, as OddCounters picks them
	Answers  Answers            `json:"answers"`
}

// RecordedOdd is the recording of a release.
func RecordedOdd(release string) (OddRecording, error) {
	var r OddRecording
	raw, err := recorded.Raw(release, "odd")
	if err != nil {
		return r, err
	}
	if err := json.Unmarshal(raw, &r); err != nil {
		return r, fmt.Errorf("%s/odd.json: %w", release, err)
	}
	return r, nil
}

// OddCounters picks the counters of the Odd, and of what they belong to, by their names without hashes and prefix.
func OddCounters(counters map[string]Counter) map[string]Counter {
	odd := map[string]Counter{}
	for name, c := range counters {
		if oddName.MatchString(name) {
			odd[name] = c
		}
	}
	return odd
}

var oddName = regexp.MustCompile(`\{(` + strings.Join(Odd, "|") + `)\}|\{prefix\}-(over|over-window|at-cap|members|poor|poor-member|poor-org)\b`)
