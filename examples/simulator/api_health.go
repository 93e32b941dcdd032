package simulator

import (
	"fmt"
	"net/http"
)

// readiness is GET /health/readiness.
func (s *Simulator) readiness(*http.Request) *response {
	r := ok(fmt.Appendf(nil, `{"status":"healthy","db":"%s"}`, s.databaseState()))
	switch {
	case s.release.is(publicDetails):
		return ok(s.health())
	case s.databaseDown:
		r.status = http.StatusServiceUnavailable
	}
	return r
}

// readinessDetails is GET /health/readiness/details.
func (a *answer) readinessDetails(*http.Request) *response {
	if a.release.is(publicDetails) {
		return detail(404, "Not Found")
	}
	return ok(a.health())
}

func (s *Simulator) databaseState() string {
	if s.databaseDown {
		return "disconnected"
	}
	return "connected"
}

// health is the long form, which tells the version.
func (s *Simulator) health() []byte {
	body := fmt.Appendf(nil, `{"status":"healthy","db":"%s","cache":"redis","litellm_version":"%s","success_callbacks":["cache","_ProxyDBLogger"],`+
		`"use_aiohttp_transport":true,"log_level":"WARNING","is_detailed_debug":false`, s.databaseState(), s.release.name)
	if s.release.since("1.101.6") {
		body = append(body, `,"show_no_redis_warning":false`...)
	}
	if s.release.since("1.106.10") {
		body = append(body, `,"show_env_credential_login_warning":true`...)
	}
	return append(body, '}')
}

// alive is GET /health/liveliness.
func alive(*http.Request) *response { return ok([]byte(`"I'm alive!"`)) }

// hubInfo is GET /public/model_hub/info, which tells the version to anybody.
func (s *Simulator) hubInfo(*http.Request) *response {
	return ok(fmt.Appendf(nil, `{"docs_title":"LiteLLM Gateway","custom_docs_description":null,"litellm_version":"%s","useful_links":{}}`, s.release.name))
}
