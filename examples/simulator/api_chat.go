package simulator

import (
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"strings"
)

const chatPath = "/v1/chat/completions"

// models are the models that can be called, and what one call costs in USD.
var models = map[string]float64{"gpt-mock": 0.0005, "gpt-costly": 0.5, "gpt-free": 0}

// estimateFactor is how much more is reserved for a call than it costs: nobody knows how long an answer gets.
const estimateFactor = 4

// chat is POST /v1/chat/completions, answered at once. The workers take turns.
func (a *answer) chat(r *http.Request) *response {
	var asked struct {
		Model    string          `json:"model"`
		Messages json.RawMessage `json:"messages"`
		User     string          `json:"user"`
		Meta     struct {
			Tags []string `json:"tags"`
		} `json:"metadata"`
	}
	if err := json.NewDecoder(r.Body).Decode(&asked); err != nil {
		return failure(400, "invalid_request_error", "request_body", "Invalid JSON payload: unexpected end of data: line 1 column 2 (char 1)")
	}
	cost, known := models[asked.Model]
	if !known {
		return a.unknownModel(asked.Model)
	}
	if asked.Messages == nil {
		if a.release.is(namesMissingMessages) {
			return failure(400, "invalid_request_error", "messages", "/chat/completions: Missing required parameter: 'messages'.")
		}
		return failure(500, "None", "None", "Router.acompletion() missing 1 required positional argument: 'messages'")
	}
	a.requests++
	if k := a.caller.key; k != nil && cost > 0 {
		flights, refusals := a.begin(r.Context(), Request{
			Key: k.Hash, Worker: a.requests, Cost: cost, Estimate: estimateFactor * cost, EndUser: asked.User,
			Tags: append(asked.Meta.Tags, agentTags(r.UserAgent())...),
		})
		if refusals[0] != nil {
			return refused(refusals[0])
		}
		flights[0].settle(r.Context())
	}
	answer := ok(fmt.Appendf(nil, `{"id":"chatcmpl-%d","created":%d,"model":"%s","object":"chat.completion","choices":[{"finish_reason":"stop","index":0,`+
		`"message":{"content":"Hello from the simulator.","role":"assistant"}}],"usage":{"completion_tokens":20,"prompt_tokens":10,"total_tokens":30}}`,
		a.requests, a.now().Unix(), asked.Model))
	answer.header = map[string]string{"x-litellm-version": a.release.name}
	return answer
}

// unknownModel says that there is no such model; "" = none was asked for.
func (a *answer) unknownModel(model string) *response {
	if model == "" {
		model = "None"
	}
	kind, param := "None", any("None")
	if a.release.is(typesUnknownModel) {
		kind, param = "invalid_request_error", nil
	}
	message := "/chat/completions: Invalid model name passed in model=" + model + ". Call `/v1/models` to view available models for your key."
	r := failure(400, kind, param, message)
	r.body = fmt.Appendf(r.body[:len(r.body)-2], `,"provider_specific_fields":{"error":%s}}}`, appendJSON(nil, message))
	return r
}

// agentTags are the tags that LiteLLM makes of a User-Agent: its name, and all of it.
func agentTags(agent string) (tags []string) {
	const tag = "User-Agent: "
	if name, _, versioned := strings.Cut(agent, "/"); versioned {
		tags = append(tags, tag+name)
	}
	if agent != "" {
		tags = append(tags, tag+agent)
	}
	return tags
}

func round4(v float64) float64 { return math.Round(v*1e4) / 1e4 }
