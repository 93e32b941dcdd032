package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"litellm_budget_exporter/collector/casebook"
	"litellm_budget_exporter/collector/explain"
)

// TestExplainAsksAProtectedExporter reaches an exporter that has TLS and basic authentication by a file of an HTTP
// client, as other tools of Prometheus take it: with paths relative to it, and the password in a file.
func TestExplainAsksAProtectedExporter(t *testing.T) {
	d := deploy(t, "")
	webConfig, trusting := protected(t)
	e := start(t, nil, "--config.file="+d.config(t), "--web.config.file="+webConfig)
	base := "https://" + e.address
	eventually(t, func() error {
		if status, body := request(t, trusting, http.MethodGet, "https://prometheus:correct%20horse@"+e.address+"/explain?format=json&id="+d.locked); status != http.StatusOK {
			return fmt.Errorf("%d: %s", status, body)
		}
		return nil
	})
	dir := filepath.Dir(webConfig)
	file := func(name, content string) string {
		path := filepath.Join(dir, name)
		write(t, path, content)
		return "--http.config.file=" + path
	}
	file("password", "correct horse")
	file("wrong", deployedPassword)
	const trusts = "tls_config: {ca_file: cert.pem}\n"
	const oauth2 = trusts + "oauth2: {client_id: i, client_secret: s, token_url: "

	stdout := d.run(t, 0, "explain", "checkout-prod", "--exporter="+base,
		file("http.yml", trusts+"basic_auth: {username: prometheus, password_file: password}\n"))
	if !strings.Contains(stdout, "key checkout-prod ("+d.locked+")") {
		t.Errorf("%s", stdout)
	}
	for name, c := range map[string]struct {
		file string
		want string
	}{
		"no file":                   {"", "its CA goes into tls_config.ca_file of a file for --http.config.file"},
		"no credential":             {file("none.yml", trusts), "401 Unauthorized: put basic_auth"},
		"a wrong password":          {file("wrong.yml", trusts+"basic_auth: {username: prometheus, password_file: wrong}"), "for --http.config.file, or correct it there"},
		"a field that is not there": {file("field.yml", "basic_auht: {}"), "field.yml:1: basic_auht: unknown field"},
		"a secret in its place":     {file("secret.yml", "basic_auth: "+deployedPassword), "secret.yml:1: basic_auth: must be a mapping"},
		"a secret with a backquote": {file("backquote.yml", "basic_auth: \"`"+deployedPassword+"\""), "backquote.yml:1: basic_auth: must be a mapping"},
		"a secret for a URL":        {file("proxy.yml", `proxy_url: "http://u:`+deployedPassword+`@proxy:port"`), "proxy.yml:1: proxy_url: must be a URL"},
		"a secret for another URL":  {file("token.yml", oauth2+`"http://u:`+deployedPassword+`@token:port"}`), "token.yml:2: oauth2.token_url: must be a URL"},
		"a URL with a secret":       {file("query.yml", oauth2+`"http://127.0.0.1:1/?key=`+deployedPassword+`"}`), "asking the exporter: dial tcp 127.0.0.1:1: "},
		"two credentials":           {file("two.yml", "basic_auth: {username: u}\nauthorization: {credentials: c}"), "at most one of"},
		"no password file":          {file("gone.yml", trusts+"basic_auth: {username: prometheus, password_file: gone}"), filepath.Join(dir, "gone") + ": no such file"},
		"no CA file":                {file("ca.yml", "tls_config: {ca_file: gone.pem}"), filepath.Join(dir, "gone.pem") + ": no such file"},
		"no such file":              {"--http.config.file=/does/not/exist.yml", "--http.config.file: /does/not/exist.yml: "},
	} {
		t.Run(name, func(t *testing.T) {
			args := []string{"explain", "checkout-prod", "--exporter=" + base}
			if c.file != "" {
				args = append(args, c.file)
			}
			if stderr := d.fails(t, args...); !strings.Contains(stderr, c.want) {
				t.Errorf("it says %q, want %q in it", stderr, c.want)
			}
		})
	}
	t.Run("a file and no exporter", func(t *testing.T) {
		if stderr := d.fails(t, "explain", "checkout-prod", "--http.config.file=x.yml"); !strings.Contains(stderr, "it goes with --exporter only") {
			t.Errorf("%s", stderr)
		}
	})
}

// TestExplainAsksNoExporter has something else answer at the URL.
func TestExplainAsksNoExporter(t *testing.T) {
	d := deploy(t, "")
	elsewhere := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		t.Errorf("a redirect was followed, with the credential %q", r.Header.Get("Authorization"))
	}))
	defer elsewhere.Close()
	httpConfig := filepath.Join(t.TempDir(), "http.yml")
	write(t, httpConfig, "follow_redirects: true\nbasic_auth: {username: u, password: "+deployedPassword+"}")
	for name, c := range map[string]struct {
		answer http.HandlerFunc
		want   string
	}{
		"a redirect":   {func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, elsewhere.URL, http.StatusFound) }, "answers 302 Found to " + elsewhere.URL},
		"another page": {http.NotFound, "is the URL that of a litellm_budget_exporter, and does that one explain?"},
		"another JSON": {func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `{"status":"ok"}`) }, "is the URL that of a litellm_budget_exporter?"},
	} {
		t.Run(name, func(t *testing.T) {
			s := httptest.NewServer(c.answer)
			defer s.Close()
			if stderr := d.fails(t, "explain", "x", "--exporter="+s.URL, "--http.config.file="+httpConfig); !strings.Contains(stderr, c.want) {
				t.Errorf("it says %q, want %q in it", stderr, c.want)
			}
		})
	}
}

// TestWatchOutlastsASuspicion has an exporter suspect a lock for as long as it is asked, and be restarted meanwhile: it is no
// time to say that nothing is wrong.
func TestWatchOutlastsASuspicion(t *testing.T) {
	d := deploy(t, "")
	content, err := os.ReadFile("testdata/explain/suspected.json")
	if err != nil {
		t.Fatal(err)
	}
	var x explain.Explanation
	if err := json.Unmarshal(content, &x); err != nil {
		t.Fatal(err)
	}
	asked := 0
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		switch asked++; asked {
		case 1: // what comes up after that is no reason to wait
			x.Budgets[0].Suspected.Since = x.At.Add(time.Second)
		case 2:
			http.Error(w, "restarting", http.StatusServiceUnavailable)
			return
		case 3:
			x.Budgets[0].Suspected, x.Budgets[0].Text, x.Summary = nil, "All is well.", "All is well."
		default:
			t.Error("it is asked again although all is well")
		}
		_ = json.NewEncoder(w).Encode(x)
	}))
	defer s.Close()
	stdout := d.run(t, 0, "explain", "x", "--watch", "--exporter="+s.URL)
	for _, want := range []string{"Suspected since ", "Following it until", "suspected", "Nothing is wrong with it now"} {
		if !strings.Contains(stdout, want) {
			t.Errorf("there is no %q in:\n%s", want, stdout)
		}
	}
}

// TestWatchWritesAnExplanationForEveryChange has a program get no object twice that says the same.
func TestWatchWritesAnExplanationForEveryChange(t *testing.T) {
	d := deploy(t, "")
	stdout, stderr := d.execute(t, "", 2, "explain", "x", "--watch", "--output=json", "--exporter="+goesAway(t, 2))
	if n := strings.Count(stdout, `"summary":`); n != 1 || !strings.Contains(stderr, "410 Gone") {
		t.Errorf("%d objects: %s\n%s", n, stderr, stdout)
	}
}

// goesAway is the URL of an exporter that explains a lock so many times, always in the same words, and is gone then.
func goesAway(t *testing.T, answers int) string {
	t.Helper()
	locked, err := os.ReadFile("testdata/explain/locked.json")
	if err != nil {
		t.Fatal(err)
	}
	asked := 0
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if asked++; asked > answers {
			http.Error(w, "gone", http.StatusGone)
			return
		}
		_, _ = w.Write(locked)
	}))
	t.Cleanup(s.Close)
	return s.URL
}

// TestRecordingOutlivesTheExporter has the exporter go away while a key is followed: what was seen till then is kept.
func TestRecordingOutlivesTheExporter(t *testing.T) {
	d := deploy(t, "")
	file := filepath.Join(t.TempDir(), "case.yml")
	_, stderr := d.execute(t, "", 2, "explain", "x", "--watch", "--exporter="+goesAway(t, 1), "--record="+file)
	if !strings.Contains(stderr, "410 Gone") {
		t.Errorf("%s", stderr)
	}
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	c, err := casebook.Read(bytes.NewReader(content))
	if err != nil || len(c.Entities) != 1 || len(c.Entities[0].Readings) != 2 {
		t.Errorf("%v:\n%s", err, content)
	}
}
