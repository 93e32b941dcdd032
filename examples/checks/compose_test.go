package checks

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/dotenv"
	"github.com/compose-spec/compose-go/v2/types"
	"sigs.k8s.io/yaml"
)

const exporterService = "litellm-budget-exporter"

// environment is an .env file as .env.example asks for it.
func environment(t *testing.T) map[string]string {
	t.Helper()
	variables, err := dotenv.Parse(strings.NewReader(readFile(t, example("compose", ".env.example"))))
	if err != nil {
		t.Fatal(err)
	}
	for name := range variables {
		variables[name] = "sk-" + strings.ToLower(name)
	}
	return variables
}

// load is `docker compose config`: the project, validated and with its variables put in. A variable that is missing is an error.
func load(t *testing.T, file string, variables map[string]string) (*types.Project, error) {
	t.Helper()
	var env []string
	for name, value := range variables {
		env = append(env, name+"="+value)
	}
	options, err := cli.NewProjectOptions([]string{example("compose", file)}, cli.WithEnv(env))
	if err != nil {
		t.Fatal(err)
	}
	return options.LoadProject(t.Context())
}

func projects(t *testing.T) map[string]*types.Project {
	t.Helper()
	all := map[string]*types.Project{}
	for file, variables := range map[string]map[string]string{"compose.yaml": environment(t), "demo.yaml": nil} {
		project, err := load(t, file, variables)
		if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		all[file] = project
	}
	return all
}

func TestComposeNeedsEverySecret(t *testing.T) {
	for missing := range environment(t) {
		variables := environment(t)
		delete(variables, missing)
		if _, err := load(t, "compose.yaml", variables); err == nil || !strings.Contains(err.Error(), missing) || !strings.Contains(err.Error(), ".env.example") {
			t.Errorf("without %s the error is %v, want one that names it and .env.example", missing, err)
		}
	}
}

// pinned is an image with the full version in its tag.
var pinned = regexp.MustCompile(`:v?\d+\.\d+(\.\d+)?(-[a-z]+)?$`)

func TestComposeServices(t *testing.T) {
	for file, project := range projects(t) {
		for name, service := range project.Services {
			if service.Build == nil && !pinned.MatchString(service.Image) {
				t.Errorf("%s: the image of %s, %s, is not pinned to a version", file, name, service.Image)
			}
			if service.Build != nil {
				if _, err := os.Stat(filepath.Join(service.Build.Context, "Dockerfile")); err != nil {
					t.Errorf("%s: %s: %v", file, name, err)
				}
			}
			for _, port := range service.Ports {
				if port.HostIP != "127.0.0.1" {
					t.Errorf("%s: port %s of %s is open to more than loopback", file, port.Published, name)
				}
			}
			for _, volume := range service.Volumes {
				if volume.Type != types.VolumeTypeBind {
					continue
				}
				if _, err := os.Stat(volume.Source); err != nil || !volume.ReadOnly {
					t.Errorf("%s: %s mounts %s, read-only %v: %v", file, name, volume.Source, volume.ReadOnly, err)
				}
			}
		}
		exporter := project.Services[exporterService]
		if !exporter.ReadOnly || !slices.Equal(exporter.CapDrop, []string{"ALL"}) {
			t.Errorf("%s: the exporter may more than it needs", file)
		}
	}
}

func TestExporterAcceptsTheComposeEnvironment(t *testing.T) {
	var env []string
	for name, value := range projects(t)["compose.yaml"].Services[exporterService].Environment {
		env = append(env, name+"="+*value)
	}
	checkConfig(t, "{}\n", env...)
}

// fromEnvironment is how LiteLLM's configuration says that a value is a variable of the environment.
var fromEnvironment = regexp.MustCompile(`^os\.environ/(\w+)$`)

// TestLiteLLMHasTheVariablesOfItsConfiguration: LiteLLM takes a variable that is missing for an empty value, and a Redis that it is not told
// for none.
func TestLiteLLMHasTheVariablesOfItsConfiguration(t *testing.T) {
	var config struct {
		General map[string]any `json:"general_settings"`
	}
	if err := yaml.UnmarshalStrict([]byte(readFile(t, example("litellm", "config.yaml"))), &map[string]any{}); err != nil {
		t.Fatal(err) // a field given twice
	}
	if err := yaml.Unmarshal([]byte(readFile(t, example("litellm", "config.yaml"))), &config); err != nil {
		t.Fatal(err)
	}
	redis, ok := config.General["coordination_redis"].(map[string]any)
	if !ok {
		t.Fatalf("coordination_redis is %v", config.General["coordination_redis"])
	}
	environment := projects(t)["compose.yaml"].Services["litellm"].Environment
	asked := 0
	for _, settings := range []map[string]any{config.General, redis} {
		for field, value := range settings {
			variable := fromEnvironment.FindStringSubmatch(fmt.Sprint(value))
			if variable == nil {
				continue
			}
			if given := environment[variable[1]]; given == nil || *given == "" {
				t.Errorf("%s is to come from %s, which compose.yaml does not give", field, variable[1])
			}
			asked++
		}
	}
	if asked < 5 {
		t.Errorf("%d fields were found that come from the environment", asked)
	}
}

// mounted lays out in a directory what a service finds below one of its own.
func mounted(t *testing.T, service types.ServiceConfig, root string) string {
	t.Helper()
	dir := t.TempDir()
	for _, volume := range service.Volumes {
		if name, ok := strings.CutPrefix(volume.Target, root+"/"); ok && volume.Type == types.VolumeTypeBind {
			if err := os.Symlink(volume.Source, filepath.Join(dir, name)); err != nil {
				t.Fatal(err)
			}
		}
	}
	return dir
}

var listening = regexp.MustCompile(`Listening on" address=(\S+)`)

// TestPrometheusStartsAsMounted gives a real Prometheus what the compose file mounts, and asks it what it has understood.
func TestPrometheusStartsAsMounted(t *testing.T) {
	t.Parallel()
	project := projects(t)["demo.yaml"]
	config := filepath.Join(mounted(t, project.Services["prometheus"], "/etc/prometheus"), "prometheus.yml")
	run(t, exec.Command(installed(t, "promtool", "prometheus"), "check", "config", config))

	cmd := exec.Command(installed(t, "prometheus", "prometheus"), "--config.file="+config, "--storage.tsdb.path="+t.TempDir(), "--web.listen-address=127.0.0.1:0")
	log, _ := start(t, cmd)
	var address string
	eventually(t, "Prometheus to listen", func() bool {
		if match := listening.FindStringSubmatch(readFile(t, log)); match != nil {
			address = match[1]
		}
		return address != ""
	})
	ask := func(path string, into any) {
		t.Helper()
		answer, err := http.Get("http://" + address + "/api/v1/" + path)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = answer.Body.Close() }()
		body, err := io.ReadAll(answer.Body)
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(body, into); err != nil {
			t.Fatalf("%s: %v:\n%s", path, err, body)
		}
	}

	eventually(t, "Prometheus to be ready", func() bool {
		answer, err := http.Get("http://" + address + "/-/ready")
		if err != nil {
			return false
		}
		_ = answer.Body.Close()
		return answer.StatusCode == http.StatusOK
	})
	var targets struct {
		Data struct {
			ActiveTargets []struct{ ScrapeURL string }
		}
	}
	eventually(t, "Prometheus to know its targets", func() bool {
		ask("targets", &targets)
		return len(targets.Data.ActiveTargets) > 0
	})
	if got := fmt.Sprint(targets.Data.ActiveTargets); got != "[{http://"+exporterService+":10047/metrics}]" {
		t.Errorf("the targets are %s, want the exporter's service", got)
	}
	var alertmanagers struct {
		Data struct {
			ActiveAlertmanagers []struct{ URL string }
		}
	}
	eventually(t, "Prometheus to know its Alertmanager", func() bool {
		ask("alertmanagers", &alertmanagers)
		return len(alertmanagers.Data.ActiveAlertmanagers) > 0
	})
	if _, ok := project.Services["alertmanager"]; !ok || alertmanagers.Data.ActiveAlertmanagers[0].URL != "http://alertmanager:9093/api/v2/alerts" {
		t.Errorf("the Alertmanagers are %v", alertmanagers.Data)
	}
	var rules struct {
		Data struct {
			Groups []struct{ Rules []struct{ Name, Type string } }
		}
	}
	ask("rules", &rules)
	alerts := 0
	for _, group := range rules.Data.Groups {
		for _, rule := range group.Rules {
			if rule.Type == "alerting" {
				alerts++
			}
		}
	}
	if alerts < 17 {
		t.Errorf("Prometheus has %d alerts", alerts)
	}
}

// TestComposeAlertmanager: amtool accepts the configuration, which sends to a service that is there and inhibits as the other example.
func TestComposeAlertmanager(t *testing.T) {
	file := example("compose", "alertmanager.yml")
	run(t, exec.Command(installed(t, "amtool", "prometheus-alertmanager"), "check-config", file))
	type configuration struct {
		InhibitRules []any `json:"inhibit_rules"`
		Receivers    []struct {
			WebhookConfigs []struct{ URL string } `json:"webhook_configs"`
		}
	}
	var own, shown configuration
	for file, into := range map[string]*configuration{file: &own, example("alertmanager", "alertmanager.yml"): &shown} {
		if err := yaml.Unmarshal([]byte(readFile(t, file)), into); err != nil {
			t.Fatal(err)
		}
	}
	if len(own.InhibitRules) == 0 || !reflect.DeepEqual(own.InhibitRules, shown.InhibitRules) {
		t.Error("examples/compose and examples/alertmanager do not inhibit the same")
	}
	if url := own.Receivers[0].WebhookConfigs[0].URL; url != "http://pager:8080/" {
		t.Errorf("the pager is at %s", url)
	}
}

// TestPagerPrintsWhatToDo sends the pager what Alertmanager would.
func TestPagerPrintsWhatToDo(t *testing.T) {
	t.Parallel()
	port := freePort(t)
	script := strings.Replace(readFile(t, example("compose", "pager.py")), `("", 8080)`, `("127.0.0.1", `+port+`)`, 1)
	log, _ := start(t, exec.Command(installed(t, "python3", "python3"), "-u", "-c", script))
	const page = `{"alerts": [
		{"status": "firing", "labels": {"severity": "critical"}, "annotations": {"summary": "S", "description": "D",
			"runbook_url": "https://example.com/litellm_budget_exporter/alerts/runbooks/R.md", "dashboard_url": "https://example.com/grafana/d/entity?var-id=1"}},
		{"status": "resolved", "labels": {"severity": "critical"}, "annotations": {"summary": "S", "description": "D",
			"runbook_url": "https://example.com/litellm_budget_exporter/alerts/runbooks/R.md", "dashboard_url": "https://example.com/grafana/d/entity?var-id=1"}}]}`
	eventually(t, "the pager to take a page", func() bool {
		answer, err := http.Post("http://127.0.0.1:"+port+"/", "application/json", strings.NewReader(page))
		if err != nil {
			return false
		}
		_ = answer.Body.Close()
		return answer.StatusCode == http.StatusOK
	})
	if got, want := readFile(t, log), "\n[FIRING critical] S\nD\nWhat to do: alerts/runbooks/R.md\nSee it: http://127.0.0.1:3000/d/entity?var-id=1\n\n[RESOLVED critical] S\n"; got != want {
		t.Errorf("the pager prints %q, want %q", got, want)
	}
}

// TestGrafanaFindsItsParts: what provisioning names is a service, or is mounted.
func TestGrafanaFindsItsParts(t *testing.T) {
	grafana := projects(t)["demo.yaml"].Services["grafana"]
	var datasources struct {
		Datasources []struct{ URL, Type string }
	}
	if err := yaml.Unmarshal([]byte(readFile(t, example("grafana/provisioning/datasources/prometheus.yml"))), &datasources); err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(datasources.Datasources); got != "[{http://prometheus:9090 prometheus}]" {
		t.Errorf("the data sources are %s", got)
	}
	var dashboards struct {
		Providers []struct{ Options struct{ Path string } }
	}
	if err := yaml.Unmarshal([]byte(readFile(t, example("grafana/provisioning/dashboards/litellm_budget.yml"))), &dashboards); err != nil {
		t.Fatal(err)
	}
	path := dashboards.Providers[0].Options.Path
	found, err := filepath.Glob(filepath.Join(mounted(t, grafana, filepath.Dir(path)), filepath.Base(path), "*.json"))
	if err != nil || len(found) < 3 {
		t.Errorf("Grafana finds the dashboards %v (%v)", found, err)
	}
	home := *grafana.Environment["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
	if !slices.ContainsFunc(found, func(f string) bool { return filepath.Join(path, filepath.Base(f)) == home }) {
		t.Errorf("%s, the home dashboard, is not mounted", home)
	}
}
