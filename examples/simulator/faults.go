package simulator

import (
	"bytes"
	"encoding/json"
	"maps"
	"net/http"
	"strconv"
	"sync"
	"time"
)

// Fault is something that goes wrong on the way of a request: it wraps the API.
type Fault func(next http.Handler) http.Handler

// Inject lets a fault happen to all requests of a path, "" being every path, until remove is called.
func (s *Simulator) Inject(path string, f Fault) (remove func()) {
	return s.faults.add(path, f)
}

type faults struct {
	mu    sync.Mutex
	last  int
	paths map[int]string
	wraps map[int]Fault
}

func (f *faults) add(path string, fault Fault) (remove func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.paths == nil {
		f.paths, f.wraps = map[int]string{}, map[int]Fault{}
	}
	f.last++
	n := f.last
	f.paths[n], f.wraps[n] = path, fault
	return func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		delete(f.paths, n)
		delete(f.wraps, n)
	}
}

func (f *faults) around(api http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := api
		f.mu.Lock()
		for n := 1; n <= f.last; n++ {
			if path, there := f.paths[n]; there && (path == "" || path == r.URL.Path) {
				h = f.wraps[n](h)
			}
		}
		f.mu.Unlock()
		h.ServeHTTP(w, r)
	})
}

// Answer is a fault: a fixed answer in place of the real one.
func Answer(status int, body string) Fault {
	return func(http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			write(w, &response{status: status, body: []byte(body)})
		})
	}
}

// Redirect is a fault: every request is sent elsewhere.
func Redirect(url string) Fault {
	return func(http.Handler) http.Handler { return http.RedirectHandler(url, http.StatusFound) }
}

// Delay is a fault: the answer comes late, unless the client goes away before.
func Delay(d time.Duration) Fault {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			select {
			case <-time.After(d):
				next.ServeHTTP(w, r)
			case <-r.Context().Done():
			}
		})
	}
}

// Truncate is a fault: the connection ends in the middle of the body.
func Truncate() Fault {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			whole := record(next, r)
			w.Header().Set("Content-Length", strconv.Itoa(whole.body.Len()))
			w.WriteHeader(whole.code)
			_, _ = w.Write(whole.body.Bytes()[:whole.body.Len()/2])
			_ = http.NewResponseController(w).Flush() // else nothing at all would arrive
			panic(http.ErrAbortHandler)
		})
	}
}

// Rewrite is a fault: the body of each answer is changed on the way.
func Rewrite(change func(body []byte) []byte) Fault {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			whole := record(next, r)
			maps.Copy(w.Header(), whole.header)
			body := change(bytes.Clone(whole.body.Bytes()))
			w.Header().Set("Content-Length", strconv.Itoa(len(body)))
			w.WriteHeader(whole.code)
			_, _ = w.Write(body)
		})
	}
}

// RepeatPage is a fault: a list answers every page with the rows of its first, under the number that was asked for.
func RepeatPage() Fault {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			q := r.URL.Query()
			asked := q.Get("page")
			if asked == "" {
				asked = "1"
			}
			q.Set("page", "1")
			first := r.Clone(r.Context())
			first.URL.RawQuery = q.Encode()
			Rewrite(func(body []byte) []byte {
				return editObject(body, func(o map[string]json.RawMessage) {
					for _, name := range []string{"current_page", "page"} {
						if o[name] != nil {
							o[name] = json.RawMessage(asked)
						}
					}
				})
			})(next).ServeHTTP(w, first)
		})
	}
}

// ShrinkPage is a fault: the last n rows of every page of a list are missing.
func ShrinkPage(n int) Fault {
	return Rewrite(func(body []byte) []byte {
		return editObject(body, func(o map[string]json.RawMessage) {
			for _, name := range []string{"keys", "teams"} {
				var rows []json.RawMessage
				if json.Unmarshal(o[name], &rows) == nil && o[name] != nil {
					o[name] = appendJSON(nil, rows[:max(len(rows)-n, 0)])
				}
			}
		})
	})
}

func editObject(body []byte, edit func(map[string]json.RawMessage)) []byte {
	var o map[string]json.RawMessage
	if json.Unmarshal(body, &o) != nil {
		return body
	}
	edit(o)
	return appendJSON(nil, o)
}

// recorder is a ResponseWriter that keeps the answer.
type recorder struct {
	header http.Header
	code   int
	body   bytes.Buffer
}

// Header is the answer's header.
func (r *recorder) Header() http.Header { return r.header }

// WriteHeader keeps the status.
func (r *recorder) WriteHeader(code int) { r.code = code }

// Write keeps a part of the body.
func (r *recorder) Write(b []byte) (int, error) { return r.body.Write(b) }

func record(h http.Handler, r *http.Request) *recorder {
	rec := &recorder{header: http.Header{}, code: http.StatusOK}
	h.ServeHTTP(rec, r)
	return rec
}
