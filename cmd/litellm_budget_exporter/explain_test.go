package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"litellm_budget_exporter/collector/casebook"
	"litellm_budget_exporter/collector/counters/redistest"
	"litellm_budget_exporter/collector/explain"
	"litellm_budget_exporter/examples/simulator"
)

const deployedPassword = "read-only-password"

// deployment is a simulated LiteLLM and a real Redis with a key that can be locked.
type deployment struct {
	liteLLM   *simulator.Simulator
	api       *httptest.Server
	redis     *redistest.Server
	namespace string

	raw, locked string // the key checkout-prod and its hash
	entities    int    // in all
}

func deploy(t *testing.T, namespace string) *deployment {
	t.Helper()
	pattern := "~spend:* ~litellm_*_buffer*"
	if namespace != "" {
		pattern = "~" + namespace + ":* " + pattern
	}
	redis := redistest.Standalone(t, "user budget_exporter on >"+deployedPassword+" resetkeys "+pattern+" -@all +get +pttl +llen")
	s, err := simulator.New(simulator.Options{Release: "1.84.0", Redis: redis.Client(t), Namespace: namespace})
	if err != nil {
		t.Fatal(err)
	}
	d := &deployment{liteLLM: s, redis: redis, namespace: namespace, raw: "sk-checkout-prod-raw-key"}
	s.AddTeam(simulator.Team{ID: "team-storefront", Alias: "Storefront", Spend: 310.4})
	d.locked = s.AddKey(simulator.Key{Raw: d.raw, Alias: "checkout-prod", TeamID: "team-storefront", Spend: 3.536, MaxBudget: new(10.0)}).Hash
	for _, alias := range []string{"twin", "twin", "@well"} {
		k := s.AddKey(simulator.Key{Alias: alias, Spend: 1, MaxBudget: new(10.0)})
		s.SetCounter(t.Context(), simulator.KeyCounter(k.Hash), "1.0", time.Hour)
	}
	d.entities = 5
	d.api = httptest.NewServer(s.Handler())
	t.Cleanup(d.api.Close)
	return d
}

// lock has the key's counter hold three times what was spent, for longer than a test takes.
func (d *deployment) lock(t *testing.T) {
	t.Helper()
	d.liteLLM.SetCounter(t.Context(), simulator.KeyCounter(d.locked), "10.607", time.Hour)
}

// config writes a configuration that reads fast, and returns its file.
func (d *deployment) config(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	write(t, filepath.Join(dir, "litellm"), d.liteLLM.MasterKey()+"\n")
	write(t, filepath.Join(dir, "redis"), deployedPassword+"\n")
	file := filepath.Join(dir, "config.yml")
	write(t, file, fmt.Sprintf(`
litellm: {url: %q, api_key_file: litellm}
redis: {url: "redis://budget_exporter@%s/0", password_file: redis, namespace: %q}
intervals: {inventory: 1s, counters: 1s}
tolerance: {write_lag: 1s}
`, d.api.URL, d.redis.Addr, d.namespace))
	return file
}

// run runs the program until it ends with the code, and returns what it printed. Nothing of a secret may be in it.
func (d *deployment) run(t *testing.T, code int, args ...string) (stdout string) {
	t.Helper()
	stdout, stderr := d.execute(t, "", code, args...)
	if stderr != "" {
		t.Errorf("%q complains: %s", args, stderr)
	}
	return stdout
}

// fails runs the program, which must not succeed, and returns what it complains of.
func (d *deployment) fails(t *testing.T, args ...string) (stderr string) {
	t.Helper()
	stdout, stderr := d.execute(t, "", 2, args...)
	if stdout != "" {
		t.Errorf("%q prints: %s", args, stdout)
	}
	return stderr
}

func (d *deployment) execute(t *testing.T, stdin string, code int, args ...string) (out, complaints string) {
	t.Helper()
	var stdout, stderr log
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if got := run(ctx, args, lookup(nil), strings.NewReader(stdin), &stdout, &stderr); got != code {
		t.Fatalf("%q ends with code %d, want %d:\n%s%s", args, got, code, &stdout, &stderr)
	}
	for _, secret := range []string{d.raw, d.liteLLM.MasterKey(), deployedPassword} {
		if strings.Contains(stdout.String()+stderr.String(), secret) {
			t.Errorf("%q gives away %s:\n%s%s", args, secret, &stdout, &stderr)
		}
	}
	return stdout.String(), stderr.String()
}

func TestExplainLockedKey(t *testing.T) {
	d := deploy(t, "prod")
	d.lock(t)
	config := "--config.file=" + d.config(t)
	host, port, _ := strings.Cut(d.redis.Addr, ":")
	want := []string{
		"key checkout-prod (" + d.locked + ") of team Storefront",
		"Falsely locked: refused at 10.607 of 10.00, although the books say 3.536, so that 6.464 are left.",
		"HTTP 400, error type", // 1.84.0
		"unlimited",            // the team
		"reseed_multiple",
		"#27735",
		"redis-cli -h " + host + " -p " + port + " DEL prod:spend:key:" + d.locked + "\n",
		"Stop the client for 60 s: in this release DEL under load",
		d.api.URL + "/key/update",
		"team member, user, organization",
		"This was one look. An exporter that was running remembers how it began: ",
	}
	for name, args := range map[string][]string{
		"by alias":                {"explain", "checkout-prod", config},
		"by hash":                 {"explain", d.locked, config},
		"by a hash in upper case": {"explain", strings.ToUpper(d.locked), config},
	} {
		t.Run(name, func(t *testing.T) {
			stdout := d.run(t, 0, args...)
			for _, text := range want {
				if !strings.Contains(stdout, text) {
					t.Errorf("there is no %q in:\n%s", text, stdout)
				}
			}
		})
	}
	for name, stdin := range map[string]string{
		"raw key": "  " + d.raw + "\n", "alias": "checkout-prod\n", "hash without a newline": d.locked, "hash in upper case": strings.ToUpper(d.locked),
	} {
		t.Run("from standard input: "+name, func(t *testing.T) {
			stdout, _ := d.execute(t, stdin, 0, "explain", "-", "--output=json", config)
			var x explain.Explanation
			if err := json.Unmarshal([]byte(stdout), &x); err != nil {
				t.Fatal(err)
			}
			if x.ID != d.locked || x.Verdict != "falsely_locked" || x.Next.Status == nil || *x.Next.Status != 400 || len(x.Budgets) != 2 {
				t.Errorf("%+v", x)
			}
		})
	}
	t.Run("a header on standard input", func(t *testing.T) {
		_, stderr := d.execute(t, "Bearer "+d.raw+"\n", 2, "explain", "-", config)
		if !strings.Contains(stderr, "give the key alone") || strings.Contains(stderr, d.raw) {
			t.Error(stderr)
		}
	})
	t.Run("its team", func(t *testing.T) {
		if stdout := d.run(t, 0, "explain", "Storefront", config); !strings.Contains(stdout, "team Storefront (team-storefront)") {
			t.Errorf("%s", stdout)
		}
	})
	t.Run("an alias that looks like a file of arguments", func(t *testing.T) {
		if stdout := d.run(t, 0, "explain", "@well", config); !strings.Contains(stdout, "The two numbers agree") {
			t.Errorf("%s", stdout)
		}
	})
}

func TestExplainRefuses(t *testing.T) {
	d := deploy(t, "")
	config := "--config.file=" + d.config(t)
	for name, c := range map[string]struct {
		args []string
		want string
	}{
		"a raw key":            {[]string{"explain", d.raw, config}, "a raw sk-… key is a credential"},
		"a raw key as a flag":  {[]string{"explain", "--record=" + d.raw, config}, "a raw sk-… key is a credential"},
		"a raw key's header":   {[]string{"explain", "Bearer " + d.raw, config}, "a raw sk-… key is a credential"},
		"a raw key too many":   {[]string{"explain", "twin", d.raw, config}, "a raw sk-… key is a credential"},
		"nothing":              {[]string{"explain", config}, "which key or team?"},
		"nothing to read":      {[]string{"explain", "-", config}, "there is no id, alias or key on standard input"},
		"a stranger":           {[]string{"explain", "nobody", config}, "no key or team has that id or alias"},
		"twins":                {[]string{"explain", "twin", config}, "2 keys and teams have that alias; take the id of one:\n  key "},
		"a replay and more":    {[]string{"explain", "x", "--replay=y"}, "--replay goes with a file and --output only"},
		"no case":              {[]string{"explain", "--replay=y"}, "--replay: open y: no such file"},
		"an exporter nowhere":  {[]string{"explain", "x", "--exporter=http://127.0.0.1:1"}, "asking the exporter: "},
		"an odd exporter":      {[]string{"explain", "x", "--exporter=localhost:10047"}, "it must be a URL of the form"},
		"an exporter's secret": {[]string{"explain", "x", "--exporter=http://u:" + deployedPassword + "@h"}, "credentials do not belong on a command line"},
		"no configuration":     {[]string{"explain", "x"}, "LITELLM_URL"},
	} {
		t.Run(name, func(t *testing.T) {
			if stderr := d.fails(t, c.args...); !strings.Contains(stderr, c.want) {
				t.Errorf("it says %q, want %q in it", stderr, c.want)
			}
		})
	}
	t.Run("a key that the configuration does not name", func(t *testing.T) {
		file := d.config(t)
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		write(t, file, string(content)+"entities: {keys: ["+d.locked+"]}\n")
		if stderr := d.fails(t, "explain", "@well", "--config.file="+file); !strings.Contains(stderr, "no key or team has that id or alias, of those that the configuration names") {
			t.Errorf("%s", stderr)
		}
		if stdout := d.run(t, 0, "explain", "checkout-prod", "--config.file="+file); !strings.Contains(stdout, "key checkout-prod ("+d.locked+")") {
			t.Errorf("%s", stdout)
		}
	})
	t.Run("a record of a stranger", func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "case.yml")
		d.fails(t, "explain", "nobody", config, "--record="+file)
		if _, err := os.Stat(file); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("an empty file is left: %v", err)
		}
	})
	t.Run("a record over a file", func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "case.yml")
		write(t, file, "precious")
		if stderr := d.fails(t, "explain", "@well", config, "--record="+file); !strings.Contains(stderr, "file exists") {
			t.Errorf("%s", stderr)
		}
		if content, err := os.ReadFile(file); err != nil || string(content) != "precious" {
			t.Errorf("%s, %v", content, err)
		}
	})
}

// TestExplainWatchesAndRecords follows a locked key until its counter is deleted, and judges the recording again.
func TestExplainWatchesAndRecords(t *testing.T) {
	d := deploy(t, "prod")
	d.lock(t)
	file := filepath.Join(t.TempDir(), "case.yml")
	var stdout, stderr log
	ended := make(chan int)
	go func() {
		ended <- run(t.Context(), []string{"explain", "checkout-prod", "--watch", "--record=" + file, "--config.file=" + d.config(t)},
			lookup(nil), strings.NewReader(""), &stdout, &stderr)
	}()
	eventually(t, func() error {
		if !strings.Contains(stdout.String(), "reported 3.536, enforced 10.607, cap 10.00: falsely locked, reseed_multiple\n") {
			return errors.New("it does not follow: " + stdout.String() + stderr.String())
		}
		return nil
	})
	d.liteLLM.DeleteCounter(t.Context(), simulator.KeyCounter(d.locked))
	select {
	case code := <-ended:
		if code != 0 {
			t.Errorf("code %d: %s", code, &stderr)
		}
	case <-time.After(patience):
		t.Fatalf("it does not end:\n%s", &stdout)
	}
	if out := stdout.String(); !strings.Contains(out, "reported 3.536, enforced 3.536, cap 10.00: ok\n") || !strings.Contains(out, "Nothing is wrong with it now") {
		t.Errorf("%s", out)
	}

	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, identity := range []string{d.locked, "checkout-prod", "Storefront", "team-storefront", "prod:", d.api.URL, d.redis.Addr} {
		if strings.Contains(string(content), identity) {
			t.Errorf("the case says %q:\n%s", identity, content)
		}
	}
	c, err := casebook.Read(strings.NewReader(string(content)))
	if err != nil {
		t.Fatalf("%v\n%s", err, content)
	}
	if c.Release != "1.84.0" || len(c.Entities) != 2 || c.Entities[0].ID != "key-1" || c.Entities[0].Team != "team-1" || c.Entities[1].ID != "team-1" {
		t.Errorf("%s", content)
	}
	again := d.run(t, 0, "explain", "--replay="+file)
	for _, want := range []string{"falsely locked (reseed multiple) from ", ", ok from ", "key key-1 of team team-1", "HTTP 400", "#27735"} {
		if !strings.Contains(again, want) {
			t.Errorf("there is no %q in:\n%s", want, again)
		}
	}
}

// TestWatchLosesWhatItFollows tells apart why: its source, after a staleness shorter than the patience with a source, or
// the entity itself.
func TestWatchLosesWhatItFollows(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		lose func(d *deployment)
		want string
	}{
		"the key is deleted": {func(d *deployment) { d.liteLLM.DeleteKey(d.locked) }, "it is gone from LiteLLM: it was deleted"},
		"LiteLLM dies":       {func(d *deployment) { d.api.Close() }, "LiteLLM cannot be read: "},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := deploy(t, "")
			d.lock(t)
			config := d.config(t)
			content, err := os.ReadFile(config)
			if err != nil {
				t.Fatal(err)
			}
			write(t, config, string(content)+"staleness: {litellm: 3s, redis: 3s}\n")
			var stdout, stderr log
			ended := make(chan int)
			go func() {
				ended <- run(t.Context(), []string{"explain", "checkout-prod", "--watch", "--config.file=" + config}, lookup(nil), strings.NewReader(""), &stdout, &stderr)
			}()
			eventually(t, func() error {
				if !strings.Contains(stdout.String(), "Following it until nothing is wrong") {
					return errors.New("it does not follow: " + stdout.String() + stderr.String())
				}
				return nil
			})
			c.lose(d)
			select {
			case code := <-ended:
				if code == 0 || !strings.Contains(stderr.String(), c.want) || strings.Contains(stderr.String(), "no key or team") {
					t.Errorf("code %d: %s", code, &stderr)
				}
			case <-time.After(patience):
				t.Fatalf("it does not end:\n%s", &stdout)
			}
		})
	}
}

func TestReplayOfTheCasebook(t *testing.T) {
	d := deploy(t, "")
	const cases = "../../collector/casebook/cases/"
	stdout := d.run(t, 0, "explain", "--replay="+cases+"27735.yml")
	for _, want := range []string{"falsely locked", "As the case expects.", "The worst moment, ", "Falsely locked: refused at"} {
		if !strings.Contains(stdout, want) {
			t.Errorf("there is no %q in:\n%s", want, stdout)
		}
	}
	var x explain.Explanation
	if err := json.Unmarshal([]byte(d.run(t, 0, "explain", "--output=json", "--replay="+cases+"27735.yml")), &x); err != nil || x.Verdict != "falsely_locked" {
		t.Errorf("%+v, %v", x, err)
	}
}

// TestReplayOfACaseThatExpectsOtherwise explains it all the same, and fails so that a script sees it.
func TestReplayOfACaseThatExpectsOtherwise(t *testing.T) {
	d := deploy(t, "")
	content, err := os.ReadFile("../../collector/casebook/cases/27735.yml")
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "case.yml")
	write(t, file, strings.Replace(string(content), "cause: reseed_multiple", "cause: double_apply", 1))
	for _, output := range []string{"text", "json"} {
		stdout, stderr := d.execute(t, "", 1, "explain", "--output="+output, "--replay="+file)
		if !strings.Contains(stdout, "Falsely locked: refused at") || strings.Contains(stdout, "As the case expects.") {
			t.Errorf("%s", stdout)
		}
		if !strings.Contains(stderr, file+": not as the case expects: ") || !strings.Contains(stderr, `is put down to "reseed_multiple", want "double_apply"`) {
			t.Errorf("%s", stderr)
		}
	}
}

// TestExplainWaitsForWhatIsSuspected asks a running exporter of a key whose lock it has seen and not yet confirmed: its
// page says so, and the command waits until it is.
func TestExplainWaitsForWhatIsSuspected(t *testing.T) {
	t.Parallel()
	d := deploy(t, "")
	config := d.config(t)
	content, err := os.ReadFile(config)
	if err != nil {
		t.Fatal(err)
	}
	write(t, config, strings.Replace(string(content), "write_lag: 1s", "write_lag: 10s", 1)) // it is suspected for so long: a busy machine must not miss it
	e := start(t, nil, "--config.file="+config)
	told := func(want string) func() error {
		return func() error {
			var x explain.Explanation
			_, body := request(t, http.DefaultClient, http.MethodGet, "http://"+e.address+"/explain?format=json&id="+strings.ToUpper(d.locked))
			if err := json.Unmarshal([]byte(body), &x); err != nil || !strings.HasPrefix(x.Summary, want) {
				return fmt.Errorf("%w: %s", err, body)
			}
			if strings.Contains(body, "genuine") {
				t.Errorf("it is called genuine: %s", body)
			}
			return nil
		}
	}
	eventually(t, told("The two numbers agree"))
	d.lock(t)
	eventually(t, told("Suspected since "))
	stdout := d.run(t, 0, "explain", "checkout-prod", "--exporter=http://"+e.address)
	if !strings.Contains(stdout, "Falsely locked: refused at 10.607 of 10.00") {
		t.Errorf("%s", stdout)
	}
}

// TestExplainAsksAnExporter has the page, its JSON form and the command tell the same, below a prefix.
func TestExplainAsksAnExporter(t *testing.T) {
	d := deploy(t, "prod")
	d.lock(t)
	e := start(t, nil, "--config.file="+d.config(t), "--web.external-url=https://example.com/budgets/")
	base := "http://" + e.address + "/budgets"
	var x explain.Explanation
	eventually(t, func() error {
		_, body := request(t, http.DefaultClient, http.MethodGet, base+"/explain?format=json&id="+d.locked)
		if err := json.Unmarshal([]byte(body), &x); err != nil || x.Verdict != "falsely_locked" {
			return fmt.Errorf("%w: %s", err, body)
		}
		return nil
	})
	stdout := d.run(t, 0, "explain", "checkout-prod", "--exporter="+base)
	if !strings.Contains(stdout, x.Summary) || !strings.Contains(stdout, "DEL prod:spend:key:"+d.locked) || strings.Contains(stdout, "This was one look") {
		t.Errorf("%s", stdout)
	}
	stdout, _ = d.execute(t, d.raw, 0, "explain", "-", "--exporter="+base+"/")
	if !strings.Contains(stdout, x.Summary) {
		t.Errorf("%s", stdout)
	}
	if stderr := d.fails(t, "explain", "twin", "--exporter="+base); !strings.Contains(stderr, "2 keys and teams have that alias") {
		t.Errorf("%s", stderr)
	}
	if stderr := d.fails(t, "explain", "nobody", "--exporter="+base); !strings.Contains(stderr, "no key or team has that id or alias") {
		t.Errorf("%s", stderr)
	}
	page := e.get(t, "/budgets/explain?id=checkout-prod")
	if !strings.Contains(page, "reseed_multiple") || !strings.Contains(page, "DEL prod:spend:key:"+d.locked) {
		t.Errorf("%s", page)
	}
	if landing := e.get(t, "/budgets/"); !strings.Contains(landing, `href="explain?id=`+d.locked+`"`) {
		t.Errorf("%s", landing)
	}
	status, body := request(t, http.DefaultClient, http.MethodGet, base+"/explain?id="+d.raw)
	if status != http.StatusBadRequest || strings.Contains(body, d.raw) || !strings.Contains(body, "a raw sk-… key is a credential") {
		t.Errorf("a raw key: %d %s", status, body)
	}
	if strings.Contains(e.stderr.String(), d.raw) {
		t.Errorf("the log has it:\n%s", e.stderr)
	}
}
