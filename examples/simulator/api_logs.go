package simulator

import (
	"crypto/sha256"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
)

// logged is a row of LiteLLM's log of requests. Only requests that were refused for lack of budget are logged here.
type logged struct {
	id      string
	at      time.Time
	apiKey  string // the key's hash, or, in releases that know no better, what the client sent
	key     Key    // as it was; empty where the log does not say whose it was
	endUser string
	refusal *Refusal
}

// mostLogged bounds the log: older rows go.
const mostLogged = 10_000

// log queues a refused request for the log, which is written together with the spend.
func (s *Simulator) log(w *worker, k *Key, r Request, refusal *Refusal) {
	s.loggedEver++
	entry := &logged{
		id: s.requestID(s.loggedEver), at: s.now(), apiKey: k.Hash, key: *k, endUser: r.EndUser, refusal: refusal,
	}
	if s.release.is(logsRawKeys) && !refusal.byKey {
		entry.apiKey, entry.key = "Bearer "+k.Raw, Key{}
	}
	if entry.apiKey == k.Hash {
		s.touch(k)
	}
	w.log = append(w.log, entry)
}

// requestID is a UUID that depends on nothing but the seed and how many there were before.
func (s *Simulator) requestID(n int) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%d/request/%d", s.seed, n))
	return fmt.Sprintf("%x-%x-%x-%x-%x", sum[:4], sum[4:6], sum[6:8], sum[8:10], sum[10:16])
}

// spendLogs is GET /spend/logs/v2.
func (a *answer) spendLogs(r *http.Request) *response {
	q := r.URL.Query()
	page, bad := a.intParam(r, "page", 1, 0)
	if bad != nil {
		return bad
	}
	most := 100
	if a.release.is(longLogPages) {
		most = 1000
	}
	size, bad := a.intParam(r, "page_size", 50, most)
	if bad != nil {
		return bad
	}
	if q.Get("start_date") == "" || q.Get("end_date") == "" {
		return failure(400, "bad_request", a.noParam(), "Start date and end date are required")
	}
	if by := q.Get("sort_by"); by != "" && !slices.Contains(logOrders, by) {
		return failure(400, "bad_request", "sort_by", "Invalid sort_by: "+by+". Must be one of: "+strings.Join(logOrders, ", "))
	}
	from, bad := a.logTime(q.Get("start_date"))
	if bad != nil {
		return bad
	}
	to, bad := a.logTime(q.Get("end_date"))
	if bad != nil {
		return bad
	}
	var rows []*logged
	for _, l := range a.db.log {
		switch status, apiKey, team := q.Get("status_filter"), q.Get("api_key"), q.Get("team_id"); {
		case !strings.Contains(l.refusal.Message, q.Get("error_message")):
		case l.at.Before(from), l.at.After(to):
		case status != "" && status != "failure", apiKey != "" && apiKey != l.apiKey, team != "" && team != l.key.TeamID:
		case !a.caller.seesAll() && (a.caller.userID == "" || l.key.UserID != a.caller.userID):
		default:
			rows = append(rows, l)
		}
	}
	slices.SortStableFunc(rows, func(x, y *logged) int { return x.at.Compare(y.at) })
	if q.Get("sort_order") != "asc" {
		slices.Reverse(rows)
	}
	cut, pages := pageOf(rows, page, size)
	body := list([]byte(`{"data":`), cut, func(dst []byte, l *logged) []byte { return a.shapes.logged.json(dst, a, l, "") })
	body = fmt.Appendf(body, `,"total":%d,"page":%d,"page_size":%d,"total_pages":%d`, len(rows), page, size, pages)
	if a.release.is(capsLogCount) {
		body = append(body, `,"total_is_capped":false`...)
	}
	return ok(append(body, '}'))
}

// logOrders are the columns that LiteLLM's log can be sorted by; here it is by time whatever is asked for.
var logOrders = []string{"endTime", "model", "request_duration_ms", "spend", "startTime", "total_tokens", "ttft_ms"}

// logTime reads a time as the log is asked for.
func (a *answer) logTime(text string) (time.Time, *response) {
	layout := time.DateTime
	if len(text) == len(time.DateOnly) {
		layout = time.DateOnly
	}
	t, err := time.Parse(layout, text)
	if err != nil {
		return t, a.endpointError(400, "internal_server_error", "Invalid date format: "+text+". Expected: 'YYYY-MM-DD' or 'YYYY-MM-DD HH:MM:SS'")
	}
	return t, nil
}

// budgetError is error_information of a request that was refused for lack of budget.
func (a *answer) budgetError(l *logged) any {
	return raw(a.shapes.budgetError.json(nil, a, l.refusal, ""))
}

// traceback names the function that refused: the check of a key's own cap, or that of all else.
func traceback(r *Refusal) string {
	function := "common_checks"
	if r.byKey {
		function = "_virtual_key_max_budget_check"
	}
	return fmt.Sprintf("  File \"litellm/proxy/auth/auth_checks.py\", line 1, in %s\n    raise litellm.BudgetExceededError(\n", function)
}

// loggedCode is the status in the log, which is not always the one that the client got.
func (a *answer) loggedCode() string {
	if a.release.budgetStatus() == 422 {
		return "422"
	}
	return "429"
}

// byRouting is one text where a refused request is logged as it came, and another where it is logged as if it had been
// sent to its model.
func (a *answer) byRouting(asItCame, routed string) any {
	if a.release.is(logsRouted) {
		return text(routed)
	}
	return text(asItCame)
}

// text is a string that is never written as null.
func text(s string) any { return raw(appendJSON(nil, s)) }

// logTimestamp is a time as a row of the log has it.
func logTimestamp(t time.Time) any {
	return t.UTC().Format("2006-01-02T15:04:05.000") + "+00:00"
}

// entity names whose budget refused, as the fields of 1.94.3 and later do.
func (r *Refusal) entity() (kind, id string) {
	_, id, _ = strings.Cut(r.by.name, "=")
	if r.atRead {
		id = r.by.id
	}
	if r.by.scope == orgScope {
		return "organization", id
	}
	return string(r.by.scope), id
}
