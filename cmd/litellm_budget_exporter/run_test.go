package main

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"litellm_budget_exporter/examples/simulator"
)

// patience is for how long a test waits for what must come; nothing that works takes as long.
const patience = 60 * time.Second

// log is a buffer that can be read while it is written.
type log struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// exporterUnderTest is a run() under way.
type exporterUnderTest struct {
	address string // host:port on which it listens
	stdout  *log
	stderr  *log
	cancel  context.CancelFunc
	code    chan int
}

// start runs the program until the test ends, and waits until it listens.
func start(t *testing.T, env map[string]string, args ...string) *exporterUnderTest {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	e := &exporterUnderTest{stdout: &log{}, stderr: &log{}, cancel: cancel, code: make(chan int, 1)}
	args = append(args, "--web.listen-address=127.0.0.1:0")
	go func() { e.code <- run(ctx, args, lookup(env), strings.NewReader(""), e.stdout, e.stderr) }()
	t.Cleanup(func() { e.stop(t) })

	listening := regexp.MustCompile(`msg="Listening on" address=(\S+)`)
	eventually(t, func() error {
		found := listening.FindStringSubmatch(e.stderr.String())
		if found == nil {
			return fmt.Errorf("it does not listen; its log:\n%s", e.stderr)
		}
		e.address = found[1]
		return nil
	})
	return e
}

// stop ends the program as SIGTERM does, and returns its exit code.
func (e *exporterUnderTest) stop(t *testing.T) int {
	t.Helper()
	e.cancel()
	select {
	case code := <-e.code:
		e.code <- code // for whoever asks again
		return code
	case <-time.After(patience):
		t.Fatalf("the program does not end; its log:\n%s", e.stderr)
		return 0
	}
}

func (e *exporterUnderTest) get(t *testing.T, path string) string {
	t.Helper()
	status, body := request(t, http.DefaultClient, http.MethodGet, "http://"+e.address+path)
	if status != http.StatusOK {
		t.Fatalf("GET %s answers %d: %s", path, status, body)
	}
	return body
}

func request(t *testing.T, client *http.Client, method, url string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

// eventually waits until check has no more error.
func eventually(t *testing.T, check func() error) {
	t.Helper()
	within(t, patience, check)
}

func within(t *testing.T, limit time.Duration, check func() error) {
	t.Helper()
	for deadline := time.Now().Add(limit); ; time.Sleep(20 * time.Millisecond) {
		err := check()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
}

func lookup(env map[string]string) func(string) (string, bool) {
	return func(name string) (string, bool) {
		v, ok := env[name]
		return v, ok
	}
}

// mustHave fails the test when the line is not among those of text.
func mustHave(t *testing.T, text, line string) {
	t.Helper()
	if !strings.Contains("\n"+text, "\n"+line+"\n") {
		t.Errorf("there is no line %q in:\n%s", line, text)
	}
}

func write(t *testing.T, file, content string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

// emptyLiteLLM is a LiteLLM without a single key or team, and a count of the requests to it.
type emptyLiteLLM struct {
	*httptest.Server
	mu       sync.Mutex
	requests int
}

func newEmptyLiteLLM(t *testing.T) *emptyLiteLLM {
	t.Helper()
	l := &emptyLiteLLM{}
	l.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		l.mu.Lock()
		l.requests++
		l.mu.Unlock()
		w.Header().Set("Content-Type", "application/json")
		answers := map[string]string{
			"/health/readiness": `{"status":"healthy","litellm_version":"1.84.0"}`,
			"/key/list":         `{"keys":[],"total_count":0,"current_page":1,"total_pages":0}`,
			"/v2/team/list":     `{"teams":[],"total":0,"page":1,"page_size":100,"total_pages":0}`,
			"/budget/list":      `[]`,
		}
		answer, known := answers[r.URL.Path]
		if !known {
			http.NotFound(w, r)
			return
		}
		_, _ = io.WriteString(w, answer)
	}))
	t.Cleanup(l.Close)
	return l
}

func (l *emptyLiteLLM) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.requests
}

// simulatedLiteLLM is a LiteLLM with some keys.
type simulatedLiteLLM struct {
	*simulator.Simulator
	url string
}

func simulate(t *testing.T, keys int, alias string) simulatedLiteLLM {
	t.Helper()
	store := redis.NewClient(&redis.Options{Addr: miniredis.RunT(t).Addr()})
	t.Cleanup(func() { _ = store.Close() })
	s, err := simulator.New(simulator.Options{Redis: store})
	if err != nil {
		t.Fatal(err)
	}
	s.AddKeys(keys, func(int) simulator.Key { return simulator.Key{Alias: alias} })
	l := httptest.NewServer(s.Handler())
	t.Cleanup(l.Close)
	return simulatedLiteLLM{s, l.URL}
}

func TestHelpAndVersion(t *testing.T) {
	for _, c := range []struct {
		args []string
		want []string
	}{
		{[]string{"--version"}, []string{"litellm_budget_exporter, version", "go version:"}},
		{[]string{"--help"}, []string{
			"--config.file=FILE", "--web.listen-address=:10047", "--web.config.file", "--web.telemetry-path", "--web.external-url",
			"--log.level", "--log.format", "serve*", "demo", "config check <file>",
		}},
		{[]string{"config", "check", "--help"}, []string{"config check <file>"}},
	} {
		t.Run(strings.Join(c.args, " "), func(t *testing.T) {
			var stdout, stderr log
			if code := run(t.Context(), c.args, lookup(nil), strings.NewReader(""), &stdout, &stderr); code != 0 {
				t.Errorf("exit code %d, want 0; %s", code, &stderr)
			}
			for _, want := range c.want {
				if !strings.Contains(stdout.String(), want) {
					t.Errorf("%q is not in:\n%s", want, &stdout)
				}
			}
		})
	}
}

func TestWrongUse(t *testing.T) {
	config := filepath.Join(t.TempDir(), "config.yml")
	write(t, config, "litellm: {url: http://127.0.0.1:1, api_key: sk-1}\nredis: null\n")
	for _, c := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"--nonsense"}, 2, "unknown long flag '--nonsense', try --help"},
		{[]string{"chek"}, 2, "unexpected chek"},
		{[]string{"config", "check"}, 2, "required argument 'file' not provided"},
		{[]string{"--log.level=loud"}, 2, "loud"},
		{nil, 1, "LITELLM_URL"},
		{[]string{"--config.file=/does/not/exist.yml"}, 1, "/does/not/exist.yml"},
		{[]string{"--config.file=" + config, "--web.telemetry-path=metrics"}, 1, "--web.telemetry-path"},
		{[]string{"--config.file=" + config, "--web.external-url=here"}, 1, "--web.external-url"},
		{[]string{"--config.file=" + config, "--web.listen-address=127.0.0.1:99999"}, 1, "invalid port"},
		{[]string{"--config.file=" + config, "--web.listen-address=127.0.0.1:0", "--web.config.file=/does/not/exist.yml"}, 1, "/does/not/exist.yml"},
		{[]string{"demo", "--config.file=" + config}, 1, "the demo takes no --config.file"},
	} {
		t.Run(strings.Join(c.args, " "), func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			var stdout, stderr log
			if code := run(ctx, c.args, lookup(nil), strings.NewReader(""), &stdout, &stderr); code != c.code {
				t.Errorf("exit code %d, want %d", code, c.code)
			}
			if !strings.Contains(stderr.String(), c.want) {
				t.Errorf("%q is not in:\n%s", c.want, &stderr)
			}
		})
	}
}

func TestConfigCheck(t *testing.T) {
	dir := t.TempDir()
	secret := filepath.Join(dir, "key")
	write(t, secret, "sk-from-a-file\n")
	for _, c := range []struct {
		name, content  string
		env            map[string]string
		code           int
		stdout, stderr string
	}{
		{
			name:    "good",
			content: "litellm:\n  url: https://litellm.example.com\n  api_key_file: " + secret + "\nredis:\n  url: redis://redis.example.com\n",
			stdout:  "good.yml: valid\n",
		},
		{
			name:    "completed by the environment",
			content: "intervals: {counters: 5s}\n",
			env:     map[string]string{"LITELLM_URL": "https://litellm.example.com", "LITELLM_API_KEY": "sk-1"},
			stdout:  "completed by the environment.yml: valid\n",
		},
		{
			name:    "unknown field",
			content: "litellm:\n  url: https://litellm.example.com\n  api_key: sk-1\n  urll: x\n",
			code:    1,
			stderr:  "unknown field.yml:4: litellm.urll",
		},
		{
			name:    "no YAML",
			content: "litellm: [\n",
			code:    1,
			stderr:  "no YAML.yml:",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			file := filepath.Join(dir, c.name+".yml")
			write(t, file, c.content)
			var stdout, stderr log
			if code := run(t.Context(), []string{"config", "check", file}, lookup(c.env), strings.NewReader(""), &stdout, &stderr); code != c.code {
				t.Errorf("exit code %d, want %d", code, c.code)
			}
			if !strings.HasSuffix(stdout.String(), c.stdout) || !strings.Contains(stderr.String(), c.stderr) {
				t.Errorf("it says %q and %q, want %q and %q", &stdout, &stderr, c.stdout, c.stderr)
			}
		})
	}
}

// TestReload goes from one LiteLLM to another, then breaks the file.
func TestReload(t *testing.T) {
	first, second := newEmptyLiteLLM(t), newEmptyLiteLLM(t)
	file := filepath.Join(t.TempDir(), "config.yml")
	content := func(url string) string {
		return "litellm: {url: " + url + ", api_key: sk-1}\nredis: null\nintervals: {inventory: 1s}\n"
	}
	write(t, file, content(first.URL))
	e := start(t, nil, "--config.file="+file)
	reload := func(method string) (int, string) {
		return request(t, http.DefaultClient, method, "http://"+e.address+"/-/reload")
	}
	read := func(l *emptyLiteLLM) {
		t.Helper()
		before := l.count()
		eventually(t, func() error {
			if l.count() == before {
				return fmt.Errorf("the exporter asks nothing of %s; its log:\n%s", l.URL, e.stderr)
			}
			return nil
		})
	}
	read(first)
	mustHave(t, e.get(t, "/metrics"), "litellm_budget_exporter_config_last_reload_successful 1")

	write(t, file, content(second.URL))
	if status, body := reload(http.MethodPost); status != http.StatusOK {
		t.Fatalf("reload answers %d: %s", status, body)
	}
	read(second)

	write(t, file, "litellm:\n  urll: oops\n")
	status, body := reload(http.MethodPut)
	if want := file + ":2: litellm.urll"; status != http.StatusInternalServerError || !strings.Contains(body, want) {
		t.Errorf("a broken file answers %d %q, want 500 and %q in it", status, body, want)
	}
	mustHave(t, e.get(t, "/metrics"), "litellm_budget_exporter_config_last_reload_successful 0")
	read(second) // the old configuration is still in force

	write(t, file, content(first.URL))
	if err := syscall.Kill(os.Getpid(), syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	read(first)
	mustHave(t, e.get(t, "/metrics"), "litellm_budget_exporter_config_last_reload_successful 1")
	if code := e.stop(t); code != 0 {
		t.Errorf("exit code %d, want 0", code)
	}
}

func TestReloadChangesTheLimitOfSeries(t *testing.T) {
	l := simulate(t, 3, "a key")
	file := filepath.Join(t.TempDir(), "config.yml")
	content := "litellm: {url: " + l.url + ", api_key: " + l.MasterKey() + "}\nredis: null\nlimits: {entities_per_scope: %d}\n"
	write(t, file, fmt.Sprintf(content, 10))
	e := start(t, nil, "--config.file="+file)
	without := func(n int) {
		t.Helper()
		eventually(t, func() error {
			line := fmt.Sprintf(`litellm_budget_entities_without_series{scope="key"} %d`, n)
			if metrics := e.get(t, "/metrics"); !strings.Contains(metrics, "\n"+line+"\n") {
				return fmt.Errorf("there is no %s in:\n%s", line, metrics)
			}
			return nil
		})
	}
	without(0)
	write(t, file, fmt.Sprintf(content, 2))
	if status, body := request(t, http.DefaultClient, http.MethodPost, "http://"+e.address+"/-/reload"); status != http.StatusOK {
		t.Fatalf("reload answers %d: %s", status, body)
	}
	without(1)
}

func TestReadyOnceTheSourcesWereTried(t *testing.T) {
	asked, answer := make(chan struct{}), make(chan struct{})
	var once sync.Once
	l := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		once.Do(func() { close(asked) })
		<-answer
		http.Error(w, "no", http.StatusInternalServerError)
	}))
	defer l.Close()
	e := start(t, map[string]string{"LITELLM_URL": l.URL, "LITELLM_API_KEY": "sk-1"})
	<-asked
	if status, _ := request(t, http.DefaultClient, http.MethodGet, "http://"+e.address+"/-/ready"); status != http.StatusServiceUnavailable {
		t.Errorf("/-/ready answers %d while the first request is under way, want 503", status)
	}
	e.get(t, "/-/healthy")
	close(answer)
	eventually(t, func() error {
		if status, body := request(t, http.DefaultClient, http.MethodGet, "http://"+e.address+"/-/ready"); status != http.StatusOK {
			return fmt.Errorf("/-/ready answers %d: %s", status, body)
		}
		return nil
	})
	mustHave(t, e.get(t, "/metrics"), `litellm_budget_source_up{source="litellm"} 0`)
}

func TestOwnMetrics(t *testing.T) {
	l := newEmptyLiteLLM(t)
	e := start(t, map[string]string{"LITELLM_URL": l.URL, "LITELLM_API_KEY": "sk-1"})
	var metrics string
	eventually(t, func() error {
		metrics = e.get(t, "/metrics")
		if !strings.Contains(metrics, `litellm_budget_source_up{source="litellm"} 1`) {
			return fmt.Errorf("LiteLLM is not up; log:\n%s", e.stderr)
		}
		return nil
	})
	for _, want := range []string{
		"litellm_budget_exporter_build_info{", "go_goroutines ", "process_start_time_seconds ",
		`litellm_budget_exporter_poll_duration_seconds_count{loop="inventory"}`, `litellm_budget_litellm_info{version="1.84.0"} 1`,
		"litellm_budget_exporter_config_last_reload_success_timestamp_seconds ",
	} {
		if !strings.Contains(metrics, "\n"+want) {
			t.Errorf("there is no %s in:\n%s", want, metrics)
		}
	}
	if strings.Contains(metrics, `source="redis"} `) && strings.Contains(metrics, `source_up{source="redis"}`) {
		t.Error("a Redis that is not configured has a source_up")
	}
	if page := e.get(t, "/"); !strings.Contains(page, "not configured — reported side only") {
		t.Errorf("the page does not say that there is no Redis:\n%s", page)
	}
}

// protected writes a file of exporter-toolkit with TLS and a user "prometheus", whose password is "correct horse". The
// certificate is cert.pem beside it, and the client trusts it.
func protected(t *testing.T) (webConfig string, trusting *http.Client) {
	t.Helper()
	dir := t.TempDir()
	ca := httptest.NewTLSServer(nil) // has a certificate for 127.0.0.1
	t.Cleanup(ca.Close)
	key, err := x509.MarshalPKCS8PrivateKey(ca.TLS.Certificates[0].PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "cert.pem"), string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: ca.Certificate().Raw})))
	write(t, filepath.Join(dir, "key.pem"), string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key})))
	webConfig = filepath.Join(dir, "web.yml")
	write(t, webConfig, `
tls_server_config: {cert_file: cert.pem, key_file: key.pem}
basic_auth_users:
  prometheus: $2a$04$U6lvpti4jCVrXpyN15XWYO35eyFxL9ei9vnZJXO1q/ZTgeVZ7EMfO
`)
	return webConfig, ca.Client()
}

// TestWebConfig has TLS and basic authentication in exporter-toolkit's file.
func TestWebConfig(t *testing.T) {
	webConfig, trusting := protected(t)
	l := newEmptyLiteLLM(t)
	e := start(t, map[string]string{"LITELLM_URL": l.URL, "LITELLM_API_KEY": "sk-1"}, "--web.config.file="+webConfig)

	for _, c := range []struct {
		user   *url.Userinfo
		status int
	}{
		{nil, http.StatusUnauthorized},
		{url.UserPassword("prometheus", "wrong"), http.StatusUnauthorized},
		{url.UserPassword("prometheus", "correct horse"), http.StatusOK},
	} {
		for _, path := range []string{"/metrics", "/", "/-/ready"} {
			u := url.URL{Scheme: "https", User: c.user, Host: e.address, Path: path}
			status := 0
			eventually(t, func() error { // readiness takes the time of a first reading
				status, _ = request(t, trusting, http.MethodGet, u.String())
				if status == http.StatusServiceUnavailable {
					return fmt.Errorf("still not ready; log:\n%s", e.stderr)
				}
				return nil
			})
			if status != c.status {
				t.Errorf("%s as %v answers %d, want %d", path, c.user, status, c.status)
			}
		}
	}
	if status, _ := request(t, http.DefaultClient, http.MethodGet, "http://"+e.address+"/metrics"); status != http.StatusBadRequest {
		t.Errorf("plain HTTP answers %d, want 400", status)
	}
}

func TestExternalURL(t *testing.T) {
	l := newEmptyLiteLLM(t)
	e := start(t, map[string]string{"LITELLM_URL": l.URL, "LITELLM_API_KEY": "sk-1"},
		"--web.external-url=https://example.com/budgets/", "--web.telemetry-path=/numbers")
	if page := e.get(t, "/"); !strings.Contains(page, `href="numbers"`) { // by the redirect to /budgets/
		t.Errorf("the page has no link to the metrics:\n%s", page)
	}
	if metrics := e.get(t, "/budgets/numbers"); !strings.Contains(metrics, "go_goroutines") {
		t.Errorf("no metrics:\n%s", metrics)
	}
}

// TestShutdownFinishesScrapes ends the program while a slow client is in the middle of eight megabytes.
func TestShutdownFinishesScrapes(t *testing.T) {
	l := simulate(t, 80, strings.Repeat("long", 25_000))
	e := start(t, map[string]string{"LITELLM_URL": l.url, "LITELLM_API_KEY": l.MasterKey()})
	eventually(t, func() error {
		if page := e.get(t, "/"); !strings.Contains(page, `data-label="Entities">80<`) {
			return fmt.Errorf("the keys are not read; log:\n%s", e.stderr)
		}
		return nil
	})

	scrape, err := dial(e.address)
	if err != nil {
		t.Fatal(err)
	}
	defer scrape.Close()
	fmt.Fprintf(scrape, "GET /metrics HTTP/1.0\r\n\r\n")
	status := make([]byte, len("HTTP/1.0 200 OK"))
	if _, err := io.ReadFull(scrape, status); err != nil || string(status) != "HTTP/1.0 200 OK" {
		t.Fatalf("the scrape gets %q, error %v", status, err)
	}
	e.cancel()
	eventually(t, func() error {
		c, err := dial(e.address)
		if err == nil {
			_ = c.Close()
			return errors.New("it still listens")
		}
		return nil
	})
	answer, err := io.ReadAll(scrape)
	if err != nil || !strings.Contains(string(answer), "\npromhttp_metric_handler_requests_total") {
		t.Errorf("the scrape under way gets %d bytes, error %v", len(answer), err)
	}
	if code := e.stop(t); code != 0 {
		t.Errorf("exit code %d, want 0; log:\n%s", code, e.stderr)
	}
}

// TestSecretsAreNeverShown has a LiteLLM and a Redis that repeat what they are sent.
func TestSecretsAreNeverShown(t *testing.T) {
	secrets := map[string]string{
		"LITELLM_API_KEY": "sk-veryhiddenkey0123456789",
		"REDIS_PASSWORD":  "veryhiddenpassword",
	}
	l := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusUnauthorized)
		fmt.Fprintf(w, `{"error":{"message":"Invalid token %s","type":"auth_error","code":"401"}}`, r.Header.Get("Authorization"))
	}))
	defer l.Close()
	redisHost, redisPort, err := net.SplitHostPort(echoingRedis(t))
	if err != nil {
		t.Fatal(err)
	}
	env := map[string]string{"LITELLM_URL": l.URL, "REDIS_HOST": redisHost, "REDIS_PORT": redisPort}
	maps.Copy(env, secrets)
	e := start(t, env, "--log.level=debug")
	eventually(t, func() error {
		metrics := e.get(t, "/metrics")
		for _, want := range []string{
			`litellm_budget_exporter_poll_errors_total{reason="unauthorized",source="litellm"} 1`,
			`litellm_budget_exporter_poll_errors_total{reason="other",source="redis"} 1`,
		} {
			if !strings.Contains(metrics, want) {
				return fmt.Errorf("there is no %s; log:\n%s", want, e.stderr)
			}
		}
		return nil
	})
	for _, page := range []string{"/", "/metrics"} {
		mustNotHave(t, page, e.get(t, page), secrets)
	}
	e.stop(t)
	mustNotHave(t, "the log", e.stderr.String(), secrets)
	mustNotHave(t, "the output", e.stdout.String(), secrets)
}

// echoingRedis refuses every command and repeats what it was sent.
func echoingRedis(t *testing.T) (address string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	command := regexp.MustCompile(`(?m)^\*\d+\r$`)
	go func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer client.Close()
				buffer := make([]byte, 1<<16)
				for {
					n, err := client.Read(buffer)
					if err != nil {
						return
					}
					for range command.FindAll(buffer[:n], -1) {
						fmt.Fprintf(client, "-ERR unknown command `AUTH`, with args beginning with: %q\r\n", buffer[:n])
					}
				}
			}()
		}
	}()
	return listener.Addr().String()
}

func dial(address string) (net.Conn, error) {
	c, err := net.DialTimeout("tcp", address, patience)
	if err != nil {
		return nil, err
	}
	return c, c.SetDeadline(time.Now().Add(patience))
}

func mustNotHave(t *testing.T, where, text string, secrets map[string]string) {
	t.Helper()
	if text == "" && where != "the output" {
		t.Errorf("%s is empty", where)
	}
	for name, secret := range secrets {
		if strings.Contains(text, secret) {
			t.Errorf("%s has the secret of %s:\n%s", where, name, text)
		}
	}
}
