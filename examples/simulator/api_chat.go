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
		return failure(400, "invalid_request_error", nil, "Invalid JSON payload")
	}
	cost, known := models[asked.Model]
	if !known {
		return failure(400, "invalid_request_error", "model", "Invalid model name passed in model="+asked.Model)
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
