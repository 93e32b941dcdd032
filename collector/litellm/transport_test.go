package litellm_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/pem"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	commoncfg "github.com/prometheus/common/config"
	"github.com/prometheus/common/version"

	"litellm_budget_exporter/collector/budget"
	"litellm_budget_exporter/collector/litellm"
)

const onePage = `{"keys":[],"total_count":0,"current_page":1,"total_pages":0}`

func TestNewRefusesWhatCannotWork(t *testing.T) {
	for _, tc := range []struct {
		name string
		o    litellm.Options
		says string
	}{
		{"no scheme", litellm.Options{URL: "litellm.example.com", Timeout: time.Second}, "http://"},
		{"another scheme", litellm.Options{URL: "redis://x", Timeout: time.Second}, "http://"},
		{"no host", litellm.Options{URL: "http://", Timeout: time.Second}, "host"},
		{"a password", litellm.Options{URL: "http://user:hunter2@x", Timeout: time.Second}, "basic_auth"},
		{"a password that breaks the URL", litellm.Options{URL: "http://user:hunter2 %zz@x", Timeout: time.Second}, "cannot be read"},
		{"a query", litellm.Options{URL: "http://x/?key=hunter2", Timeout: time.Second}, "query"},
		{"no timeout", litellm.Options{URL: "http://x"}, "timeout"},
		{"two credentials", litellm.Options{URL: "http://x", Timeout: time.Second, HTTP: commoncfg.HTTPClientConfig{
			BasicAuth: &commoncfg.BasicAuth{Username: "a"}, Authorization: &commoncfg.Authorization{Credentials: credential},
		}}, "at most one"},
		{"no CA file", litellm.Options{URL: "https://x", Timeout: time.Second, HTTP: commoncfg.HTTPClientConfig{
			TLSConfig: commoncfg.TLSConfig{CAFile: "/does/not/exist"},
		}}, "/does/not/exist"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := litellm.New(tc.o)
			if err == nil || !strings.Contains(err.Error(), tc.says) {
				t.Fatalf("got %v, want %q in it", err, tc.says)
			}
			noSecrets(t, err)
		})
	}
}

func TestRequestsCarryCredentialPrefixAndUserAgent(t *testing.T) {
	var got *http.Request
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got = r.Clone(context.Background())
		_, _ = w.Write([]byte(onePage))
	}))
	defer srv.Close()
	for _, base := range []string{"/optional/prefix", "/optional/prefix/"} {
		if _, err := newClient(t, srv.URL+base).Keys(t.Context(), litellm.ByToken, 1); err != nil {
			t.Fatal(err)
		}
		if got.URL.Path != "/optional/prefix/key/list" {
			t.Errorf("path %q", got.URL.Path)
		}
	}
	if got.Header.Get("Authorization") != "Bearer "+credential {
		t.Errorf("Authorization %q", got.Header.Get("Authorization"))
	}
	if got.UserAgent() != "litellm_budget_exporter/"+version.Version {
		t.Errorf("User-Agent %q", got.UserAgent())
	}
}

// TestOnlyReadsAreSent holds the client to the requests that change nothing: this is the whole list.
func TestOnlyReadsAreSent(t *testing.T) {
	sent := map[string]string{}
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		sent[r.Method+" "+r.URL.Path] = r.URL.RawQuery
		w.WriteHeader(http.StatusNotFound)
	})
	ctx := t.Context()
	_, _ = c.Release(ctx)
	_, _ = c.Keys(ctx, litellm.NewestFirst, 1)
	_, _ = c.Keys(ctx, litellm.ByToken, 1)
	_, _ = c.Key(ctx, "a")
	_, _ = c.KeyInfo(ctx, "a")
	_, _ = c.KeysInfo(ctx, []string{"a"})
	_, _ = c.Teams(ctx, 1)
	_, _ = c.Team(ctx, "a")
	_, _ = c.TeamInfo(ctx, "a")
	_, _ = c.Budgets(ctx)
	_, _ = c.FailedRequests(ctx, time.Now(), time.Now(), 1)
	var got []string
	for request := range sent {
		got = append(got, request)
	}
	slices.Sort(got)
	want := []string{
		"GET /budget/list", "GET /health/readiness", "GET /health/readiness/details", "GET /key/info", "GET /key/list",
		"GET /public/model_hub/info", "GET /spend/logs/v2", "GET /team/info", "GET /v2/team/list", "POST /v2/key/info",
	}
	if !slices.Equal(got, want) {
		t.Errorf("sent %v, want %v", got, want)
	}
}

func TestQueries(t *testing.T) {
	var query, body string
	c := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		raw, _ := io.ReadAll(r.Body)
		query, body = r.URL.RawQuery, string(raw)
	})
	ctx := t.Context()
	for _, tc := range []struct {
		name  string
		call  func()
		query string
		body  string
	}{
		{"by token", func() { _, _ = c.Keys(ctx, litellm.ByToken, 3) }, "page=3&return_full_object=true&size=100&sort_by=token&sort_order=asc", ""},
		{"newest first", func() { _, _ = c.Keys(ctx, litellm.NewestFirst, 1) }, "page=1&return_full_object=true&size=100&sort_by=created_at&sort_order=desc", ""},
		{"one key", func() { _, _ = c.Key(ctx, "abc") }, "key_hash=abc&page=1&return_full_object=true&size=1", ""},
		{"key info", func() { _, _ = c.KeyInfo(ctx, "abc") }, "key=abc", ""},
		{"batch", func() { _, _ = c.KeysInfo(ctx, []string{"a", "b"}) }, "", `{"keys":["a","b"]}`},
		{"teams", func() { _, _ = c.Teams(ctx, 2) }, "page=2&page_size=100&sort_by=team_id&sort_order=asc", ""},
		{"one team", func() { _, _ = c.Team(ctx, "a b&c/d") }, "page=1&page_size=1&team_id=a+b%26c%2Fd", ""},
		{"keys of an alias", func() { _, _ = c.KeysOfAlias(ctx, "a b", 2) }, "key_alias=a+b&page=2&return_full_object=true&size=100&sort_by=token&sort_order=asc", ""},
		{"teams of an alias", func() { _, _ = c.TeamsOfAlias(ctx, "a b", 2) }, "page=2&page_size=100&sort_by=team_id&sort_order=asc&team_alias=a+b", ""},
		{"team info", func() { _, _ = c.TeamInfo(ctx, "t") }, "key_limit=1&team_id=t", ""},
		{"budgets", func() { _, _ = c.Budgets(ctx) }, "", ""},
	} {
		if tc.call(); query != tc.query || body != tc.body {
			t.Errorf("%s: query %q, body %q; want %q, %q", tc.name, query, body, tc.query, tc.body)
		}
	}
}

func TestEmptyBatchAsksNothing(t *testing.T) {
	c := serve(t, func(http.ResponseWriter, *http.Request) { t.Error("a request was sent") })
	if rows, err := c.KeysInfo(t.Context(), nil); len(rows) != 0 || err != nil {
		t.Errorf("%d rows, %v", len(rows), err)
	}
}

func TestObserveIsToldOfEveryRequest(t *testing.T) {
	status := http.StatusOK
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_, _ = w.Write([]byte(onePage))
	}))
	defer srv.Close()
	var seen []string
	c, err := litellm.New(litellm.Options{URL: srv.URL + "/prefix", Timeout: time.Minute, Observe: func(endpoint, code string) {
		seen = append(seen, endpoint+" "+code)
	}})
	if err != nil {
		t.Fatal(err)
	}
	_, _ = c.Keys(t.Context(), litellm.ByToken, 1)
	status = http.StatusUnauthorized
	_, _ = c.TeamInfo(t.Context(), "t")
	srv.Close()
	_, _ = c.Budgets(t.Context())
	if want := []string{"/key/list 200", "/team/info 401", "/budget/list none"}; !slices.Equal(seen, want) {
		t.Errorf("seen %v, want %v", seen, want)
	}
}

func TestRedirectIsRefusedAndNoCredentialFollows(t *testing.T) {
	var followed atomic.Int32
	target := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { followed.Add(1) }))
	defer target.Close()
	for _, status := range []int{301, 302, 303, 307, 308} {
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, target.URL+"/login?token=hunter2", status)
		}))
		defer srv.Close()
		cfg := bearer()
		cfg.FollowRedirects = true // as the configuration's default has it
		c, err := litellm.New(litellm.Options{URL: srv.URL, HTTP: cfg, Timeout: time.Minute})
		if err != nil {
			t.Fatal(err)
		}
		_, err = c.Keys(t.Context(), litellm.ByToken, 1)
		failed := failure(t, err)
		if failed.Reason != litellm.Redirect || failed.Status != status || !strings.Contains(failed.Error(), target.URL) {
			t.Errorf("%d: %v", status, err)
		}
		noSecrets(t, err)
	}
	if followed.Load() != 0 {
		t.Errorf("the redirect's target got %d requests", followed.Load())
	}
}

func TestCredentialsFileIsReadAgain(t *testing.T) {
	var seen []string
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen = append(seen, r.Header.Get("Authorization"))
		_, _ = w.Write([]byte(onePage))
	}))
	defer srv.Close()
	file := filepath.Join(t.TempDir(), "key")
	write := func(key string) {
		if err := os.WriteFile(file, []byte(key+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("sk-one")
	c, err := litellm.New(litellm.Options{URL: srv.URL, Timeout: time.Minute, HTTP: commoncfg.HTTPClientConfig{
		Authorization: &commoncfg.Authorization{CredentialsFile: file},
	}})
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"sk-one", "sk-two"} {
		write(key)
		if _, err := c.Keys(t.Context(), litellm.ByToken, 1); err != nil {
			t.Fatal(err)
		}
	}
	if want := []string{"Bearer sk-one", "Bearer sk-two"}; !slices.Equal(seen, want) {
		t.Errorf("sent %v, want %v", seen, want)
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	_, err = c.Keys(t.Context(), litellm.ByToken, 1)
	if failed := failure(t, err); failed.Reason != litellm.Other || !strings.Contains(failed.Error(), file) {
		t.Errorf("without the file: %v", err)
	}
}

func TestTimeouts(t *testing.T) {
	for name, handler := range map[string]http.HandlerFunc{
		"before the answer": func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
		"within the answer": func(w http.ResponseWriter, r *http.Request) {
			_, _ = w.Write([]byte(`{"keys":[`))
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
		},
	} {
		t.Run(name, func(t *testing.T) {
			srv := httptest.NewServer(handler)
			defer srv.Close()
			c, err := litellm.New(litellm.Options{URL: srv.URL, Timeout: 50 * time.Millisecond})
			if err != nil {
				t.Fatal(err)
			}
			_, err = c.Keys(t.Context(), litellm.ByToken, 1)
			if failed := failure(t, err); failed.Reason != litellm.Timeout || !strings.Contains(failed.Error(), "litellm.timeout") {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestCanceledRequestSaysSo(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	c := serve(t, func(_ http.ResponseWriter, r *http.Request) { cancel(); <-r.Context().Done() })
	_, err := c.Keys(ctx, litellm.ByToken, 1)
	if failed := failure(t, err); failed.Reason != litellm.Other || !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestConnectionFailures(t *testing.T) {
	closed := httptest.NewServer(http.NotFoundHandler())
	closed.Close()
	hangsUp, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = hangsUp.Close() }()
	go func() {
		for {
			conn, err := hangsUp.Accept()
			if err != nil {
				return
			}
			_ = conn.Close()
		}
	}()
	breaksOff := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "1000")
		_, _ = w.Write([]byte(`{"keys":[`))
	}))
	defer breaksOff.Close()
	for name, url := range map[string]string{
		"refused": closed.URL, "hung up": "http://" + hangsUp.Addr().String(), "broken off": breaksOff.URL,
	} {
		t.Run(name, func(t *testing.T) {
			_, err := newClient(t, url).Keys(t.Context(), litellm.ByToken, 1)
			failed := failure(t, err)
			if failed.Reason != litellm.Connection || failed.Err == nil {
				t.Errorf("got %v", err)
			}
			for e := err; e != nil; e = errors.Unwrap(e) {
				if strings.Contains(e.Error(), "sort_by") {
					t.Errorf("the text holds the whole URL: %v", e)
				}
			}
			noSecrets(t, err)
		})
	}
}

func TestTLSFailures(t *testing.T) {
	quiet := log.New(io.Discard, "", 0) // the servers see their handshakes fail
	secure := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(onePage)) }))
	secure.Config.ErrorLog = quiet
	secure.StartTLS()
	defer secure.Close()
	plain := httptest.NewServer(http.NotFoundHandler())
	defer plain.Close()
	mutual := httptest.NewUnstartedServer(http.NotFoundHandler())
	mutual.TLS = &tls.Config{ClientAuth: tls.RequireAnyClientCert, MinVersion: tls.VersionTLS12}
	mutual.Config.ErrorLog = quiet
	mutual.StartTLS()
	defer mutual.Close()

	ca := filepath.Join(t.TempDir(), "ca.pem")
	pemBytes := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: secure.Certificate().Raw})
	if err := os.WriteFile(ca, pemBytes, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name string
		url  string
		tls  commoncfg.TLSConfig
		want litellm.Reason // "" = none
	}{
		{"unknown authority", secure.URL, commoncfg.TLSConfig{}, litellm.TLS},
		{"another name", secure.URL, commoncfg.TLSConfig{CAFile: ca, ServerName: "other.example.org"}, litellm.TLS},
		{"no TLS there", "https://" + strings.TrimPrefix(plain.URL, "http://"), commoncfg.TLSConfig{}, litellm.TLS},
		{"client certificate wanted", mutual.URL, commoncfg.TLSConfig{InsecureSkipVerify: true}, litellm.TLS},
		{"known authority", secure.URL, commoncfg.TLSConfig{CAFile: ca}, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c, err := litellm.New(litellm.Options{URL: tc.url, Timeout: time.Minute, HTTP: commoncfg.HTTPClientConfig{TLSConfig: tc.tls}})
			if err != nil {
				t.Fatal(err)
			}
			_, err = c.Keys(t.Context(), litellm.ByToken, 1)
			if tc.want == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if failed := failure(t, err); failed.Reason != tc.want {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestAnswerBeyondTheLimit(t *testing.T) {
	const limit = 64 << 20
	spaces := bytes.Repeat([]byte(" "), 1<<20)
	write := func(w io.Writer, n int) {
		for ; n > 0; n -= len(spaces) {
			if _, err := w.Write(spaces[:min(n, len(spaces))]); err != nil {
				return
			}
		}
	}
	for _, tc := range []struct {
		name    string
		padding int
		want    litellm.Reason
	}{
		{"at the limit", limit - len(onePage), ""},
		{"one byte more", limit - len(onePage) + 1, litellm.TooLarge},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := serve(t, func(w http.ResponseWriter, _ *http.Request) {
				_, _ = w.Write([]byte(onePage))
				write(w, tc.padding)
			})
			_, err := c.Keys(t.Context(), litellm.ByToken, 1)
			if tc.want == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if failed := failure(t, err); failed.Reason != tc.want {
				t.Errorf("got %v", err)
			}
		})
	}
	t.Run("announced and not waited for", func(t *testing.T) {
		c := serve(t, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", strconv.Itoa(limit+1))
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
		})
		_, err := c.Keys(t.Context(), litellm.ByToken, 1)
		if failed := failure(t, err); failed.Reason != litellm.TooLarge {
			t.Errorf("got %v", err)
		}
	})
}

func TestRelease(t *testing.T) {
	const hub, ready, details = "/public/model_hub/info", "/health/readiness", "/health/readiness/details"
	for _, tc := range []struct {
		name    string
		answers map[string]string // what is not here is 404
		want    string
		asked   []string
	}{
		{"model hub", map[string]string{hub: `{"litellm_version":"1.109.1"}`, ready: `{"litellm_version":"no"}`}, "1.109.1", []string{hub}},
		{"readiness", map[string]string{ready: `{"status":"healthy","litellm_version":"1.83.14"}`}, "1.83.14", []string{hub, ready}},
		{"details", map[string]string{ready: `{"status":"healthy"}`, details: `{"litellm_version":"1.84.0"}`}, "1.84.0", []string{hub, ready, details}},
		{"hub without it", map[string]string{hub: `{"docs_title":"x"}`, ready: `{"litellm_version":"1.83.14"}`}, "1.83.14", []string{hub, ready}},
		{"hub null", map[string]string{hub: `{"litellm_version":null}`, ready: `{"litellm_version":"1.83.14"}`}, "1.83.14", []string{hub, ready}},
		{"nobody", nil, "", []string{hub, ready, details}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var asked []string
			c := serve(t, func(w http.ResponseWriter, r *http.Request) {
				asked = append(asked, r.URL.Path)
				body, ok := tc.answers[r.URL.Path]
				if !ok {
					w.WriteHeader(http.StatusNotFound)
				}
				_, _ = w.Write([]byte(body))
			})
			got, err := c.Release(t.Context())
			if got != tc.want || (err == nil) != (tc.want != "") || !slices.Equal(asked, tc.asked) {
				t.Errorf("got %q, %v after asking %v; want %q after %v", got, err, asked, tc.want, tc.asked)
			}
		})
	}
	closed := httptest.NewServer(http.NotFoundHandler())
	closed.Close()
	if _, err := newClient(t, closed.URL).Release(t.Context()); failure(t, err).Endpoint != hub {
		t.Errorf("a LiteLLM that is not there is asked again: %v", err)
	}
}

func TestConcurrentUse(t *testing.T) {
	c := answering(t, 200, `{"keys":[{"token":"a","team_id":"t","user_id":"u"}],"total_count":1,"current_page":1,"total_pages":1}`)
	rows := make(chan *budget.Row)
	for range 8 {
		go func() {
			r, err := c.Key(t.Context(), "a")
			if err != nil {
				t.Error(err)
			}
			rows <- r
		}()
	}
	for range 8 {
		if r := <-rows; r == nil || r.Names.TeamID != "t" {
			t.Errorf("row %+v", r)
		}
	}
}

// LiteLLM closes a connection that was idle for some seconds; a request can be on its way to it just then.
func TestARequestIsSentAgainWhereAnIdleConnectionIsClosed(t *testing.T) {
	asked := map[string]int{} // by connection; requests come one after another
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if _, marked := r.Header["Idempotency-Key"]; marked {
			t.Error("the mark is sent")
		}
		if asked[r.RemoteAddr]++; asked[r.RemoteAddr] == 1 {
			_, _ = io.WriteString(w, `{"info":[]}`)
			return
		}
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		_ = conn.Close()
	})
	for range 2 {
		if _, err := c.KeysInfo(t.Context(), []string{"a"}); err != nil {
			t.Fatal(err)
		}
	}
	if len(asked) != 2 {
		t.Errorf("asked by connection: %v", asked)
	}
}
