package simulator

import (
	"encoding/json"
	"net/http"
	"strconv"
)

// driverText is what the database driver says when the database is down.
const driverText = "All connection attempts failed"

// response is an answer.
type response struct {
	status int
	body   []byte
	header map[string]string
}

func ok(body []byte) *response { return &response{status: http.StatusOK, body: body} }

// failure is LiteLLM's own error body; param is a string or nil.
func failure(status int, kind string, param any, message string) *response {
	type e struct {
		Message string `json:"message"`
		Type    string `json:"type"`
		Param   any    `json:"param"`
		Code    string `json:"code"`
	}
	return &response{status: status, body: appendJSON(nil, map[string]e{"error": {message, kind, param, strconv.Itoa(status)}})}
}

// detail is FastAPI's error body.
func detail(status int, v any) *response {
	return &response{status: status, body: appendJSON(nil, map[string]any{"detail": v})}
}

// refused is a refusal for lack of budget.
func refused(r *Refusal) *response { return failure(r.Status, "budget_exceeded", nil, r.Message) }

// noDatabase is the answer of releases that tell an outage of the database from a bad key.
func noDatabase() *response {
	return failure(503, "no_db_connection", nil, "Service Unavailable, the database cannot be reached")
}

// databaseError is what an endpoint answers that needed the database while it was down.
func (s *Simulator) databaseError(r *http.Request) *response {
	if r.URL.Path == "/key/list" && s.release.is(listIs503) {
		return noDatabase()
	}
	return s.endpointError(500, "internal_server_error", driverText)
}

// notNumber, tooSmall, notPositive and tooLarge are FastAPI's 422 for a query parameter.
func (s *Simulator) notNumber(name, input string) *response {
	return s.invalid("int_parsing", inQuery(name), "Input should be a valid integer, unable to parse string as an integer", input, nil)
}

func (s *Simulator) tooSmall(name, input string) *response {
	return s.invalid("greater_than_equal", inQuery(name), "Input should be greater than or equal to 1", input, map[string]any{"ge": 1})
}

func (s *Simulator) notPositive(name, input string) *response {
	return s.invalid("greater_than", inQuery(name), "Input should be greater than 0", input, map[string]any{"gt": 0})
}

func (s *Simulator) tooLarge(name, input string, most int) *response {
	return s.invalid("less_than_equal", inQuery(name), "Input should be less than or equal to "+strconv.Itoa(most), input, map[string]any{"le": most})
}

func inQuery(name string) []any { return []any{"query", name} }

// invalid is FastAPI's 422. More is what it says further of the error, if anything.
func (s *Simulator) invalid(kind string, where []any, message string, input any, more map[string]any) *response {
	e := map[string]any{"type": kind, "loc": where, "msg": message}
	if !s.release.is(shortValidation) {
		e["input"] = input
		if more != nil {
			e["ctx"] = more
		}
	}
	return detail(422, []any{e})
}

// Handler serves the API. Faults that were injected come first.
func (s *Simulator) Handler() http.Handler {
	mux := http.NewServeMux()
	open := func(path string, h func(*http.Request) *response) {
		mux.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) {
			s.mu.Lock()
			answer := h(r)
			s.mu.Unlock()
			write(w, answer)
		})
	}
	authenticated := func(path string, h func(*answer, *http.Request) *response) {
		open(path, func(r *http.Request) *response {
			c, refused := s.authenticate(r)
			if refused != nil {
				return refused
			}
			return h(&answer{Simulator: s, caller: c, zone: "Z"}, r)
		})
	}
	stored := func(path string, h func(*answer, *http.Request) *response) {
		authenticated(path, func(a *answer, r *http.Request) *response {
			if s.databaseDown {
				return s.databaseError(r)
			}
			return h(a, r)
		})
	}
	stored("GET /key/list", (*answer).keyList)
	stored("GET /key/info", (*answer).keyInfo)
	stored("POST /v2/key/info", (*answer).keysInfo)
	stored("GET /v2/team/list", (*answer).teamList)
	stored("GET /team/info", (*answer).teamInfo)
	stored("GET /budget/list", (*answer).budgetList)
	stored("GET /spend/logs/v2", (*answer).spendLogs)
	authenticated("POST "+chatPath, (*answer).chat)
	open("GET /health/readiness", s.readiness)
	authenticated("GET /health/readiness/details", (*answer).readinessDetails)
	open("GET /health/liveliness", alive)
	open("GET /health/liveness", alive)
	open("GET /public/model_hub/info", s.hubInfo)
	open("/", func(r *http.Request) *response {
		for _, method := range []string{http.MethodGet, http.MethodPost} {
			other := *r
			other.Method = method
			if _, pattern := mux.Handler(&other); pattern != "/" {
				return detail(405, "Method Not Allowed")
			}
		}
		return detail(404, "Not Found")
	})
	return s.faults.around(mux)
}

func write(w http.ResponseWriter, r *response) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(r.body)))
	for name, value := range r.header {
		w.Header().Set(name, value)
	}
	w.WriteHeader(r.status)
	// The client may have gone away; nobody else is there to be told.
	_, _ = w.Write(r.body)
}

// SetDatabaseDown takes the database away from LiteLLM, or gives it back.
func (s *Simulator) SetDatabaseDown(down bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.databaseDown = down
}

// raw is JSON that was made already.
func raw(b []byte) json.RawMessage { return b }

// list writes a JSON array of what each appends.
func list[T any](dst []byte, items []T, each func(dst []byte, item T) []byte) []byte {
	dst = append(dst, '[')
	for i, item := range items {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = each(dst, item)
	}
	return append(dst, ']')
}

// intParam reads a whole number, at least 1, from the query; most 0 is no bound.
func (s *Simulator) intParam(r *http.Request, name string, otherwise, most int) (int, *response) {
	if !r.URL.Query().Has(name) {
		return otherwise, nil
	}
	text := r.URL.Query().Get(name)
	n, err := strconv.Atoi(text)
	switch {
	case err != nil:
		return 0, s.notNumber(name, text)
	case n < 1:
		return 0, s.tooSmall(name, text)
	case most > 0 && n > most:
		return 0, s.tooLarge(name, text, most)
	}
	return n, nil
}

// pageOf cuts a page, counted from 1, out of rows, and says how many pages there are.
func pageOf[T any](rows []T, page, size int) (cut []T, pages int) {
	from := min((page-1)*size, len(rows))
	return rows[from:min(from+size, len(rows))], (len(rows) + size - 1) / size
}
