package litellm

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"net/url"
	"strconv"
	"time"

	"litellm_budget_exporter/collector/budget"
	"litellm_budget_exporter/collector/refusals"
)

// FailurePage is one page of the log of failed requests, of which nothing but the refusals by a budget is kept.
type FailurePage struct {
	Refusals   []refusals.Refusal
	Page       int
	TotalPages int
}

// FailedRequests reads one page, from 1, of the requests that failed between two times, the newest first. The times
// are by LiteLLM's clock, and seconds count. LiteLLM searches that part of its log row by row: it must be minutes only.
func (c *Client) FailedRequests(ctx context.Context, from, to time.Time, page int) (FailurePage, error) {
	return c.failures(ctx, url.Values{}, from, to, page)
}

// FailedRequestsOf is the first page of FailedRequests of one key or team only. Up to 1.86.2 LiteLLM logs neither the
// hash nor the team of a key that is refused by another budget than its own. There a team's are found by what they say,
// which other teams' may say as well; a key's are missed.
func (c *Client) FailedRequestsOf(ctx context.Context, r budget.Release, id budget.ID, from, to time.Time) (FailurePage, error) {
	query := url.Values{}
	switch {
	case id.Scope != budget.Team:
		query.Set("api_key", id.Value)
	case r.OlderThan("1.87.5"):
		query.Set("error_message", "Team="+id.Value)
	default:
		query.Set("team_id", id.Value)
	}
	return c.failures(ctx, query, from, to, 1)
}

func (c *Client) failures(ctx context.Context, query url.Values, from, to time.Time, page int) (FailurePage, error) {
	query.Set("start_date", from.UTC().Format(time.DateTime))
	query.Set("end_date", to.UTC().Add(time.Second).Format(time.DateTime))
	query.Set("status_filter", "failure")
	query.Set("sort_by", "startTime")
	query.Set("sort_order", "desc")
	query.Set("page", strconv.Itoa(page))
	query.Set("page_size", strconv.Itoa(PageSize)) // 1000 are allowed from 1.97.0 on only
	a, err := c.get(ctx, spendLogs, query)
	if err != nil {
		return FailurePage{}, err
	}
	p, err := decodeFailures(a.body, page)
	return p, a.malformed(err)
}

// wireFailure is what is looked at of a row of the log.
type wireFailure struct {
	RequestID json.RawMessage `json:"request_id"`
	APIKey    json.RawMessage `json:"api_key"` // up to 1.86.2 it can hold the raw key
	StartTime json.RawMessage `json:"startTime"`
	Metadata  json.RawMessage `json:"metadata"`
}

type wireErrorInformation struct {
	Class      json.RawMessage `json:"error_class"`
	Message    json.RawMessage `json:"error_message"`
	Traceback  json.RawMessage `json:"traceback"`
	LimitType  json.RawMessage `json:"error_rate_limit_type"`    // 1.90.7 and later
	EntityType json.RawMessage `json:"error_budget_entity_type"` // this and the next 1.94.3 and later
	EntityID   json.RawMessage `json:"error_budget_entity_id"`
	Limit      json.RawMessage `json:"error_budget_limit"`
	Spend      json.RawMessage `json:"error_budget_spend"`
}

func decodeFailures(body []byte, asked int) (FailurePage, error) {
	var wire struct {
		Data       json.RawMessage `json:"data"`
		Page       json.RawMessage `json:"page"`
		TotalPages json.RawMessage `json:"total_pages"`
	}
	if err := object(body, &wire); err != nil {
		return FailurePage{}, err
	}
	f := fields{}
	p := FailurePage{Page: f.count("page", wire.Page), TotalPages: f.count("total_pages", wire.TotalPages)}
	if f.err == nil && p.Page != asked {
		f.err = fmt.Errorf("page is %d, asked for was page %d", p.Page, asked)
	}
	for i, raw := range f.list("data", wire.Data) {
		row := fields{path: fmt.Sprintf("data[%d]", i)}
		failure := row.failure(raw)
		if row.err != nil {
			return FailurePage{}, row.err
		}
		if refusal, is := refusals.Parse(failure); is {
			p.Refusals = append(p.Refusals, refusal)
		}
	}
	return p, f.err
}

// failure reads one row. It leaves this file as a refusal only.
func (f *fields) failure(raw json.RawMessage) refusals.Failure {
	var w wireFailure
	f.object("", raw, &w)
	failure := refusals.Failure{
		Request: digest(f.required("request_id", w.RequestID)),
		At:      f.instant("startTime", w.StartTime).Value,
		APIKey:  f.text("api_key", w.APIKey),
	}
	if failure.At.IsZero() {
		f.fail("startTime", "an ISO 8601 time")
	}
	// What cannot be read of the error concerns this row alone: then it is no refusal, or one that does not tell whose.
	info := fields{}
	var metadata struct {
		Error json.RawMessage `json:"error_information"`
	}
	var e wireErrorInformation
	info.object("metadata", w.Metadata, &metadata)
	info.object("error_information", metadata.Error, &e)
	failure.Class = info.text("error_class", e.Class)
	failure.Message = info.text("error_message", e.Message)
	failure.Traceback = info.text("traceback", e.Traceback)
	failure.LimitType = info.text("error_rate_limit_type", e.LimitType)
	failure.EntityType = info.text("error_budget_entity_type", e.EntityType)
	failure.EntityID = info.text("error_budget_entity_id", e.EntityID)
	failure.Limit = info.number("error_budget_limit", e.Limit)
	failure.Spend = info.number("error_budget_spend", e.Spend)
	return failure
}

// digest tells one request's id from another's, and nothing else about it.
func digest(requestID string) uint64 {
	sum := sha256.Sum256([]byte(requestID))
	return binary.BigEndian.Uint64(sum[:8])
}
