package simulator

// loggedShape is an item of data of /spend/logs/v2, of a request that was refused for lack of budget.
var loggedShape = []field[*logged]{
	{name: "request_id", value: func(_ *answer, l *logged) any { return l.id }},
	{name: "call_type", value: func(a *answer, _ *logged) any { return a.byRouting("", "acompletion") }},
	{name: "api_key", value: func(_ *answer, l *logged) any { return l.apiKey }},
	{name: "spend", empty: `0`},
	{name: "total_tokens", empty: `0`},
	{name: "prompt_tokens", empty: `0`},
	{name: "completion_tokens", empty: `0`},
	{name: "startTime", value: func(_ *answer, l *logged) any { return logTimestamp(l.at) }},
	{name: "endTime", value: func(_ *answer, l *logged) any { return logTimestamp(l.at) }},
	{name: "completionStartTime", value: func(_ *answer, l *logged) any { return logTimestamp(l.at) }},
	{name: "model", value: func(a *answer, _ *logged) any { return a.byRouting("gpt-mock", "openai/gpt-4o-mini") }},
	{name: "model_id", value: func(a *answer, _ *logged) any { return a.byRouting("", Hash("gpt-mock")) }},
	{name: "model_group", value: func(a *answer, _ *logged) any { return a.byRouting("", "gpt-mock") }},
	{name: "custom_llm_provider", value: func(a *answer, _ *logged) any { return a.byRouting("", "openai") }},
	{name: "api_base", empty: `""`},
	{name: "user", value: func(_ *answer, l *logged) any { return text(l.key.UserID) }},
	{name: "metadata", value: func(a *answer, l *logged) any { return raw(a.shapes.loggedMetadata.json(nil, a, l, "")) }},
	{name: "cache_hit", empty: `"False"`},
	{name: "cache_key", value: func(*answer, *logged) any { return Hash("cache") }},
	{name: "request_tags", empty: `[]`},
	{name: "team_id", value: func(_ *answer, l *logged) any { return text(l.key.TeamID) }},
	{name: "organization_id", value: func(_ *answer, l *logged) any { return text(l.key.OrgID) }},
	{name: "end_user", value: func(_ *answer, l *logged) any { return text(l.endUser) }},
	{name: "requester_ip_address", value: func(a *answer, _ *logged) any { return a.requesterAddress() }},
	{name: "session_id", value: func(_ *answer, l *logged) any { return l.id }},
	{name: "status", empty: `"failure"`},
	{name: "mcp_namespaced_tool_name", empty: `null`},
	{name: "agent_id", empty: `null`},
	{name: "litellm_call_id", since: "1.106.10", value: func(_ *answer, l *logged) any { return l.id }},
	{name: "request_duration_ms", empty: `0`},
}

// loggedMetadataShape is metadata of such an item.
var loggedMetadataShape = []field[*logged]{
	{name: "status", empty: `"failure"`},
	{name: "user_agent", since: "1.106.10", empty: `null`},
	{name: "max_retries", empty: `null`},
	{name: "batch_models", empty: `null`},
	{name: "usage_object", value: func(a *answer, _ *logged) any { return a.onceRouted(`{}`) }},
	{name: "user_api_key", value: func(_ *answer, l *logged) any { return l.apiKey }},
	{name: "actor_agent_id", since: "1.106.10", empty: `null`},
	{name: "cost_breakdown", empty: `null`},
	{name: "azure_spillover", since: "1.106.10", empty: `null`},
	{name: "litellm_call_id", since: "1.101.6", value: func(_ *answer, l *logged) any { return l.id }},
	{name: "router_metadata", since: "1.101.6", empty: `null`},
	{name: "target_agent_id", since: "1.106.10", empty: `null`},
	{name: "billing_agent_id", since: "1.106.10", empty: `null`},
	{name: "eval_information", empty: `null`},
	{name: "routing_decision", since: "1.101.6", empty: `null`},
	{name: "attempted_retries", empty: `null`},
	{name: "error_information", value: func(a *answer, l *logged) any { return a.budgetError(l) }},
	{name: "applied_guardrails", value: func(a *answer, _ *logged) any { return a.onceRouted(`[]`) }},
	{name: "autorouter_savings", since: "1.101.6", empty: `null`},
	{name: "user_api_key_alias", value: func(_ *answer, l *logged) any { return l.key.Alias }},
	{name: "attempted_fallbacks", since: "1.101.6", empty: `null`},
	{name: "compression_savings", since: "1.101.6", empty: `null`},
	{name: "spend_logs_metadata", empty: `null`},
	{name: "user_api_key_org_id", value: func(_ *answer, l *logged) any { return l.key.OrgID }},
	{name: "agent_execution_mode", since: "1.106.10", empty: `null`},
	{name: "billed_retry_attempt", since: "1.108.11", empty: `false`},
	{name: "internal_call_origin", since: "1.101.6", empty: `null`},
	{name: "original_model_group", since: "1.101.6", empty: `null`},
	{name: "proxy_server_request", empty: `null`},
	{name: "requester_ip_address", value: func(a *answer, _ *logged) any { return a.requesterAddress() }},
	{name: "user_api_key_team_id", value: func(_ *answer, l *logged) any { return l.key.TeamID }},
	{name: "user_api_key_user_id", value: func(_ *answer, l *logged) any { return l.key.UserID }},
	{name: "batch_failed_requests", since: "1.101.6", empty: `null`},
	{name: "guardrail_information", empty: `null`},
	{name: "litellm_roi_estimator", since: "1.106.10", empty: `false`},
	{name: "model_map_information", value: func(a *answer, _ *logged) any {
		return a.onceRouted(`{"model_map_key":"openai/gpt-4o-mini","model_map_value":{}}`)
	}},
	{name: "kubernetes_pod_routing", since: "1.109.1", empty: `null`},
	{name: "mcp_tool_call_metadata", empty: `null`},
	{name: "verified_human_user_id", since: "1.106.10", empty: `null`},
	{name: "additional_usage_values", empty: `{}`},
	{name: "cold_storage_object_key", empty: `null`},
	{name: "used_client_oauth_token", since: "1.106.10", empty: `null`},
	{name: "user_api_key_project_id", value: func(_ *answer, l *logged) any { return l.key.ProjectID }},
	{name: "user_api_key_team_alias", empty: `null`},
	{name: "user_api_key_user_email", since: "1.109.1", empty: `null`},
	{name: "litellm_overhead_time_ms", empty: `null`},
	{name: "batch_successful_requests", since: "1.101.6", empty: `null`},
	{name: "user_api_key_project_alias", empty: `null`},
	{name: "autorouter_savings_estimate", since: "1.106.10", empty: `null`},
	{name: "vector_store_request_metadata", empty: `null`},
	{name: "litellm_gateway_injected_cache", since: "1.101.6", empty: `null`},
	{name: "autorouter_baseline_observation", since: "1.106.10", empty: `null`},
}

// budgetErrorShape is error_information of such an item.
var budgetErrorShape = []field[*Refusal]{
	{name: "traceback", value: func(a *answer, r *Refusal) any {
		if a.release.since("1.101.6") {
			return text("")
		}
		return traceback(r)
	}},
	{name: "error_code", value: func(a *answer, _ *Refusal) any { return a.loggedCode() }},
	{name: "error_class", empty: `"BudgetExceededError"`},
	{name: "llm_provider", value: func(a *answer, _ *Refusal) any {
		if a.release.since("1.90.7") {
			return "openai"
		}
		return text("")
	}},
	{name: "error_message", value: func(_ *answer, r *Refusal) any { return r.Message }},
	{name: "normalized_error", since: "1.104.9", empty: `"429_BUDGET_EXCEEDED"`},
	{name: "error_budget_limit", since: "1.94.3", value: func(_ *answer, r *Refusal) any { return r.Cap }},
	{name: "error_budget_spend", since: "1.94.3", value: func(_ *answer, r *Refusal) any { return r.Spend }},
	{name: "error_rate_limit_type", since: "1.90.7", empty: `"budget"`},
	{name: "error_budget_entity_id", since: "1.94.3", value: func(_ *answer, r *Refusal) any { _, id := r.entity(); return id }},
	{name: "error_budget_entity_type", since: "1.94.3", value: func(_ *answer, r *Refusal) any { kind, _ := r.entity(); return kind }},
	{name: "error_provider_request_id", since: "1.104.9", empty: `null`},
	{name: "error_rate_limit_category", since: "1.90.7", empty: `"litellm_rate_limit"`},
	{name: "error_cooldown_deployments", since: "1.109.1", empty: `null`},
}

// onceRouted is a value that a release has that logs a refused request with the model that it was for; before, null.
func (a *answer) onceRouted(value string) any {
	if a.release.is(logsRouted) {
		return raw([]byte(value))
	}
	return nil
}

// requesterAddress is where the request came from; in releases before 1.101.6 the log does not say.
func (a *answer) requesterAddress() any {
	if a.release.since("1.101.6") {
		return "127.0.0.1"
	}
	return nil
}
