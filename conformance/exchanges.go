// Package conformance holds what is asked of LiteLLM to see that everything here that reads it, or plays it, has it
// right: the requests, what must hold of their answers in every release, and how an answer is compared with the
// recorded one. The answers may come from a recording, from the simulator or from a running LiteLLM.
package conformance

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"

	"litellm_budget_exporter/conformance/recorded"
)

// Exchange is one request. In its path and body {prefix} stands for the population's prefix, and {personal} and
// the like for the hash of that key.
type Exchange struct {
	Name   string // of its recording
	Method string
	Path   string
	Body   string
	Caller string // the key that asks, by name; Master, Unknown or Nobody
	Times  int    // how often it is sent, 0 being once; the last answer counts
}

// Callers that are no key of the population.
const (
	Master    = "master"
	Unknown   = "unknown"
	Malformed = "malformed" // what it sends does not look like a key
	Nobody    = ""
)

// The bearers of Unknown and Malformed, as when the answers were recorded.
const (
	unknownBearer   = "sk-wrong"
	malformedBearer = "wrong"
)

// zeroHash is the hash of no key.
var zeroHash = strings.Repeat("0", 64)

// Traffic spends: what is sent first, and in this order. Only two of its answers were recorded.
var Traffic = []Exchange{
	chat("chat-team", "team", "gpt-costly", ""),
	chat("chat-member", "member", "gpt-mock", ""),
	chat("chat-windows", "windows", "gpt-mock", ""),
	chat("chat-personal", "personal", "gpt-mock", `"user":"{prefix}-customer","metadata":{"tags":["{prefix}-tag"]},`),
	chat("chat-unlimited", "unlimited", "gpt-mock", ""),
	chat("chat-by-budget-id", "by-budget-id", "gpt-mock", ""),
	chat("chat-soft", "soft", "gpt-mock", ""),
	// Its budget of 0.0008 is gone after two of them.
	chat("chat-budget-exceeded", "tiny", "gpt-mock", "").times(4),
}

// chat asks a model, with more fields than those that a request must have: each with a comma after it.
func chat(name, caller, model, more string) Exchange {
	body := `{"model":"` + model + `",` + more + `"max_tokens":20,"messages":[{"role":"user","content":"hi"}]}`
	return post(name, chatPath, body, caller)
}

const chatPath = "/v1/chat/completions"

func post(name, path, body, caller string) Exchange {
	return Exchange{Name: name, Method: "POST", Path: path, Body: body, Caller: caller}
}

func (e Exchange) times(n int) Exchange {
	e.Times = n
	return e
}

// Reads are sent when what the traffic spent has reached the database.
var Reads = []Exchange{
	// First, for LiteLLM logs refusals of the requests below, too.
	get("spend-logs-v2-failures", "/spend/logs/v2?"+ever+"&status_filter=failure&page_size=5", Master),
	get("key-info", "/key/info?key={team}", Master),
	get("key-info-windows", "/key/info?key={windows}", Master),
	get("key-info-by-budget-id", "/key/info?key={by-budget-id}", Master),
	get("key-info-own", "/key/info", "personal"),
	get("key-info-own-over-budget", "/key/info", "tiny"),
	get("key-info-unknown", "/key/info?key="+zeroHash, Master),
	get("key-info-bad-bearer", "/key/info", Unknown),
	get("key-info-no-bearer", "/key/info", Nobody),
	post("v2-key-info", "/v2/key/info", `{"keys":["{team}","{personal}"]}`, Master),
	post("v2-key-info-unknown", "/v2/key/info", `{"keys":["`+zeroHash+`"]}`, Master),
	get("key-list", "/key/list?size=5", Master),
	get("key-list-full", "/key/list?return_full_object=true&size=100", Master),
	get("key-list-full-page1", "/key/list?return_full_object=true&size=4&page=1&sort_by=token&sort_order=asc", Master),
	get("key-list-full-page2", "/key/list?return_full_object=true&size=4&page=2&sort_by=token&sort_order=asc", Master),
	get("key-list-size-101", "/key/list?return_full_object=true&size=101", Master),
	get("key-list-page-beyond", "/key/list?return_full_object=true&size=100&page=99", Master),
	get("key-list-viewer", "/key/list?return_full_object=true&size=100", "viewer"),
	get("key-list-internal-user", "/key/list?return_full_object=true&size=100", "personal"),
	get("key-list-no-user", "/key/list?return_full_object=true&size=100", "unlimited"),
	get("v2-team-list", "/v2/team/list?page_size=100", Master),
	get("v2-team-list-viewer", "/v2/team/list?page_size=100", "viewer"),
	get("v2-team-list-internal-user", "/v2/team/list?page_size=100", "personal"),
	get("team-info", "/team/info?team_id={prefix}-team", Master),
	get("team-info-viewer", "/team/info?team_id={prefix}-team", "viewer"),
	get("team-info-unknown", "/team/info?team_id=nope", Master),
	get("budget-list", "/budget/list", Master),
	get("budget-list-viewer", "/budget/list", "viewer"),
	get("health-readiness", "/health/readiness", Nobody),
}

func get(name, path, caller string) Exchange {
	return Exchange{Name: name, Method: "GET", Path: path, Caller: caller}
}

// Answers are answers by the names of their exchanges.
type Answers map[string]recorded.Answer

// Population is who there is in the LiteLLM that is asked: one budget, organization, team with a member, tag and
// customer, all named by the prefix, and nine keys.
type Population struct {
	Prefix    string
	Bearers   map[string]string // raw keys by name
	Hashes    map[string]string // their SHA-256 by name
	MasterKey string
}

// Recorded are the recorded answers of a release.
func Recorded(release string) (Answers, error) {
	answers := Answers{}
	for _, e := range append([]Exchange{{Name: "chat-team"}, {Name: "chat-budget-exceeded"}}, Reads...) {
		a, err := recorded.Load(release, e.Name)
		if err != nil {
			return nil, err
		}
		answers[e.Name] = a
	}
	return answers, nil
}

// Ask sends requests in their order to the LiteLLM at the given URL. The client may be one that calls a handler.
func (p Population) Ask(client *http.Client, url string, exchanges []Exchange) (Answers, error) {
	answers := Answers{}
	for _, e := range exchanges {
		for range max(e.Times, 1) {
			a, err := p.send(client, url, e)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", e.Name, err)
			}
			answers[e.Name] = a
		}
	}
	return answers, nil
}

func (p Population) send(client *http.Client, url string, e Exchange) (recorded.Answer, error) {
	path, body := p.fill(e.Path), p.fill(e.Body)
	r, err := http.NewRequest(e.Method, url+path, strings.NewReader(body)) //nolint:noctx // the client has the timeout
	if err != nil {
		return recorded.Answer{}, err
	}
	r.Header.Set("User-Agent", "") // none: some releases make a tag of it, with a counter
	if bearer := p.bearer(e.Caller); bearer != "" {
		r.Header.Set("Authorization", "Bearer "+bearer)
	}
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	response, err := client.Do(r)
	if err != nil {
		return recorded.Answer{}, err
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return recorded.Answer{}, err
	}
	if !json.Valid(text) {
		return recorded.Answer{}, fmt.Errorf("no JSON: %.200q", text)
	}
	a := recorded.Answer{
		Request: recorded.Request{Method: e.Method, Path: path}, Status: response.StatusCode,
		Headers: map[string]string{"content-type": response.Header.Get("Content-Type")}, Body: text,
	}
	if json.Valid([]byte(body)) {
		a.Request.Body = []byte(body)
	}
	return a, nil
}

func (p Population) fill(text string) string {
	text = strings.ReplaceAll(text, "{prefix}", p.Prefix)
	for name, hash := range p.Hashes {
		text = strings.ReplaceAll(text, "{"+name+"}", hash)
	}
	return text
}

func (p Population) bearer(caller string) string {
	switch caller {
	case Master:
		return p.MasterKey
	case Unknown:
		return unknownBearer
	case Malformed:
		return malformedBearer
	}
	return p.Bearers[caller]
}
