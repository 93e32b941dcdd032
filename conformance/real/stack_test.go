//go:build conformance

package real

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"litellm_budget_exporter/collector/budget"
	"litellm_budget_exporter/conformance"
	"litellm_budget_exporter/conformance/programs"
)

var (
	release = flag.String("release", "1.84.0", "the LiteLLM release to run")
	running = flag.String("stack", "", "a file with what `conformance/kit/litellm run --proxies 3 --seed rec1` printed: that stack is used instead of starting one, once")
)

// patience is for how long what must come is waited for. A proxy alone takes half a minute to start on an idle machine.
const patience = 90 * time.Second

// prefix names the population. It looks like those of the recordings, for answers are compared with them.
const prefix = "rec1"

// stack is a LiteLLM release with its PostgreSQL and Redis.
type stack struct {
	release    string
	urls       []string // of its proxies
	pids       []string // of the same
	redisPort  string
	namespace  string
	database   string // URL for psql
	population conformance.Population
	client     *http.Client
}

// unavailable is the kit's exit status when something that it needs is not to be had.
const unavailable = 69

// startStack has the kit run LiteLLM until the test ends.
func startStack(t *testing.T, options ...string) *stack {
	t.Helper()
	if *running != "" {
		text, err := os.ReadFile(*running)
		if err != nil {
			t.Fatal(err)
		}
		return newStack(t, string(text))
	}
	var errors bytes.Buffer
	cmd := exec.Command("../kit/litellm", append([]string{"run", *release, "--seed", prefix}, options...)...)
	cmd.Stderr = &errors
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM} // it also ends when the tests run out of time
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var about strings.Builder
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(lastWords(about.String()))
		}
		_ = cmd.Process.Signal(syscall.SIGTERM) // fails only when it has ended already
		_ = cmd.Wait()                          // whatever its status: it was told to end
	})
	for lines := bufio.NewScanner(out); lines.Scan() && lines.Text() != "READY=1"; {
		about.WriteString(lines.Text() + "\n")
	}
	if about.Len() == 0 {
		err := cmd.Wait()
		if cmd.ProcessState.ExitCode() == unavailable {
			t.Fatalf("THE REAL LITELLM COULD NOT BE RUN: %s", &errors)
		}
		t.Fatalf("the kit: %v\n%s", err, &errors)
	}
	return newStack(t, about.String())
}

// afresh uses a connection once: uvicorn closes one that was idle for five seconds, and a POST may come just then.
var afresh = &http.Transport{DisableKeepAlives: true}

// newStack reads how to reach a stack.
func newStack(t *testing.T, about string) *stack {
	t.Helper()
	value := map[string]string{}
	for line := range strings.SplitSeq(about, "\n") {
		name, v, _ := strings.Cut(line, "=")
		value[name] = v
	}
	s := &stack{
		release: value["LITELLM_RELEASE"], urls: strings.Fields(value["LITELLM_URLS"]), pids: strings.Fields(value["LITELLM_PROXY_PIDS"]),
		redisPort: value["REDIS_PORT"], namespace: value["REDIS_NAMESPACE"], database: value["DATABASE_URL"],
		client:     &http.Client{Timeout: time.Minute, Transport: afresh},
		population: conformance.Population{Prefix: value["SEED_PREFIX"], Bearers: map[string]string{}, Hashes: map[string]string{}, MasterKey: value["LITELLM_MASTER_KEY"]},
	}
	if err := json.Unmarshal([]byte(value["SEED_KEYS"]), &s.population.Bearers); err != nil {
		t.Fatalf("the kit printed\n%s\n%v", about, err)
	}
	for name, key := range s.population.Bearers {
		s.population.Hashes[name] = hashOf(key)
	}
	t.Logf("LiteLLM %s; refused when seeding: %s", s.release, value["SEED_REFUSED"])
	return s
}

// lastWords are the ends of the logs of a stack.
func lastWords(about string) string {
	_, dir, _ := strings.Cut(about, "\nLOGS=")
	dir, _, _ = strings.Cut(dir, "\n")
	logs, _ := filepath.Glob(filepath.Join(dir, "*.log"))
	var b strings.Builder
	for _, name := range logs {
		text, _ := os.ReadFile(name)
		fmt.Fprintf(&b, "--- %s\n%s\n", name, text[max(0, len(text)-1500):])
	}
	return b.String()
}

func hashOf(key string) string {
	sum := sha256.Sum256([]byte(key))
	return hex.EncodeToString(sum[:])
}

// answer is one of LiteLLM's.
type answer struct {
	status int
	body   []byte
}

// ask sends one request to the first proxy, a POST if it has a body.
func (s *stack) ask(t *testing.T, path, bearer string, body any) answer {
	t.Helper()
	a, err := s.request(0, path, bearer, body)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func (s *stack) request(proxy int, path, bearer string, body any) (answer, error) {
	method, content := http.MethodGet, []byte(nil)
	if body != nil {
		var err error
		if content, err = json.Marshal(body); err != nil {
			return answer{}, err
		}
		method = http.MethodPost
	}
	r, err := http.NewRequest(method, s.urls[proxy]+path, bytes.NewReader(content))
	if err != nil {
		return answer{}, err
	}
	r.Header.Set("Authorization", "Bearer "+bearer)
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("User-Agent", "") // none: some releases make a tag of it, with a counter
	response, err := s.client.Do(r)
	if err != nil {
		return answer{}, err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	return answer{response.StatusCode, text}, err
}

// admin asks the first proxy something that must succeed, and reads the answer into v.
func (s *stack) admin(t *testing.T, path string, body, v any) {
	t.Helper()
	a := s.ask(t, path, s.population.MasterKey, body)
	if a.status != http.StatusOK {
		t.Fatalf("%s: status %d: %s", path, a.status, a.body)
	}
	if v != nil {
		if err := json.Unmarshal(a.body, v); err != nil {
			t.Fatalf("%s: %v: %s", path, err, a.body)
		}
	}
}

// virtualKey is a key of LiteLLM.
type virtualKey struct {
	s         *stack
	raw, hash string
}

// newKey makes a key, with what is asked for in the body.
func (s *stack) newKey(t *testing.T, alias string, body map[string]any) virtualKey {
	t.Helper()
	body["key_alias"] = alias
	var made struct {
		Key string `json:"key"`
	}
	s.admin(t, "/key/generate", body, &made)
	return virtualKey{s, made.Key, hashOf(made.Key)}
}

// chat asks a model, as a customer does.
func (k virtualKey) chat(proxy int, model string) (answer, error) {
	return k.s.request(proxy, "/v1/chat/completions", k.raw, map[string]any{
		"model": model, "max_tokens": 20, "messages": []map[string]string{{"role": "user", "content": "hi"}},
	})
}

// costly costs half a dollar a request, cheap a twentieth of a cent.
const (
	costly = "gpt-costly"
	cheap  = "gpt-mock"
)

// spend spends half a dollar a number of times at each of the keys, and waits until their rows say so.
func spend(t *testing.T, times int, keys ...virtualKey) {
	t.Helper()
	var want []float64
	for _, k := range keys {
		want = append(want, k.row(t)+float64(times)*0.5)
		for i := range times { // every proxy comes to know the key
			if a, err := k.chat(i%len(k.s.urls), costly); err != nil || a.status != http.StatusOK {
				t.Fatalf("spending: %v %d %s", err, a.status, a.body)
			}
		}
	}
	for i, k := range keys {
		k.rowBecomes(t, want[i])
	}
}

func (k virtualKey) rowBecomes(t *testing.T, want float64) {
	t.Helper()
	eventually(t, func() error {
		if got := k.row(t); got != want {
			return fmt.Errorf("the row of %s says %v, want %v", k.hash, got, want)
		}
		return nil
	})
}

// refused says that the next request is refused by a budget while /key/info shows spend below the cap.
func (k virtualKey) refused(t *testing.T) {
	t.Helper()
	a, err := k.chat(0, cheap)
	if err != nil {
		t.Fatal(err)
	}
	var body struct {
		Error struct {
			Type, Message string
		}
	}
	if err := json.Unmarshal(a.body, &body); err != nil || a.status == http.StatusOK || body.Error.Type != "budget_exceeded" {
		t.Fatalf("status %d, want a refusal by a budget: %s", a.status, a.body)
	}
	reported, limit := k.info(t)
	if reported >= limit {
		t.Fatalf("/key/info says %v of %v: a true refusal", reported, limit)
	}
	t.Logf("refused with %d, %s: %q; at the same time /key/info says spend %v, max_budget %v", a.status, body.Error.Type, body.Error.Message, reported, limit)
}

// admitted says that the next request is.
func (k virtualKey) admitted(t *testing.T) {
	t.Helper()
	if a, err := k.chat(0, cheap); err != nil || a.status != http.StatusOK {
		t.Fatalf("not admitted: %v %d %s", err, a.status, a.body)
	}
}

// info is spend and max_budget by /key/info.
func (k virtualKey) info(t *testing.T) (spend, maxBudget float64) {
	t.Helper()
	var a struct {
		Info struct {
			Spend     float64 `json:"spend"`
			MaxBudget float64 `json:"max_budget"`
		} `json:"info"`
	}
	k.s.admin(t, "/key/info?key="+k.hash, nil, &a)
	return a.Info.Spend, a.Info.MaxBudget
}

// row is the reported spend as psql has it.
func (k virtualKey) row(t *testing.T) float64 {
	t.Helper()
	return number(t, k.s.psql(t, `SELECT spend FROM "LiteLLM_VerificationToken" WHERE token = '`+k.hash+`'`))
}

// lives has the counter live on for longer than anything here takes, however busy the machine is: by itself it would end a
// minute after the last request that was admitted.
func (k virtualKey) lives(t *testing.T) {
	t.Helper()
	if k.s.redis(t, "EXPIRE", k.counterName(), "600") != "1" {
		t.Fatalf("the counter of %s is gone already", k.hash)
	}
}

// expire ends the counter's life now.
func (k virtualKey) expire(t *testing.T) {
	t.Helper()
	k.s.redis(t, "PEXPIRE", k.counterName(), "1")
}

// counter is the key's counter as redis-cli has it; "" = there is none.
func (k virtualKey) counter(t *testing.T) string {
	t.Helper()
	return k.s.redis(t, "GET", k.counterName())
}

func (k virtualKey) counterName() string { return k.s.counterName("spend:key:" + k.hash) }

func (s *stack) counterName(name string) string {
	if s.namespace != "" {
		return s.namespace + ":" + name
	}
	return name
}

// psql asks PostgreSQL.
func (s *stack) psql(t *testing.T, query string) string {
	t.Helper()
	return run(t, programs.Find(t, "psql", "postgresql-client"), "-X", "-A", "-t", "-q", "-v", "ON_ERROR_STOP=1", "-c", query, s.database)
}

// redis asks Redis.
func (s *stack) redis(t *testing.T, args ...string) string {
	t.Helper()
	out, err := s.redisCLI(args...)
	if err != nil {
		t.Fatalf("redis-cli %v: %v %s", args, err, out)
	}
	return out
}

func (s *stack) redisCLI(args ...string) (string, error) {
	out, err := exec.Command("redis-cli", append([]string{"-h", "127.0.0.1", "-p", s.redisPort}, args...)...).CombinedOutput()
	return strings.TrimRight(string(out), "\n"), err
}

func run(t *testing.T, program string, args ...string) string {
	t.Helper()
	out, err := exec.Command(program, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", program, err, out)
	}
	return strings.TrimRight(string(out), "\n")
}

func number(t *testing.T, text string) float64 {
	t.Helper()
	v, err := strconv.ParseFloat(text, 64)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// suffers says whether a release has a failure mode, as the exporter knows it.
func (s *stack) suffers(t *testing.T, c budget.Cause) bool {
	t.Helper()
	affected := budget.Affected(s.release, c)
	if !affected.Known {
		t.Fatalf("it is not known whether %s suffers from %s", s.release, c)
	}
	return affected.Value
}

// since says whether the release in use is that one or a later one.
func since(release, first string) bool {
	return slices.Compare(numbers(release), numbers(first)) >= 0
}

func numbers(release string) (ns []int) {
	for part := range strings.SplitSeq(release, ".") {
		n, _ := strconv.Atoi(part)
		ns = append(ns, n)
	}
	return ns
}

// eventually waits until the condition holds.
func eventually(t *testing.T, condition func() error) {
	t.Helper()
	within(t, patience, condition)
}

func within(t *testing.T, patience time.Duration, condition func() error) {
	t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(200 * time.Millisecond) {
		err := condition()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
}
