//go:build conformance

package real

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"litellm_budget_exporter/conformance/programs"
)

// prometheus scrapes the exporter and has the project's rules.
type prometheus struct{ server *programs.Server }

// startPrometheus has the times of the rules shortened, as those of the exporter are. Two of them matter to a page: how often
// rules are evaluated, and for how many seconds after it was last seen a lock is one.
func startPrometheus(t *testing.T, e *exporter) prometheus {
	t.Helper()
	const file = "litellm_budget.rules.yml"
	rules, err := os.ReadFile("../../alerts/" + file)
	if err != nil {
		t.Fatal(err)
	}
	hasty := string(rules)
	for _, time := range [][2]string{{"interval: 15s", "interval: 1s"}, {"< 300\n", "< 10\n"}} {
		if !strings.Contains(hasty, time[0]) {
			t.Fatalf("%s has no %q", file, time[0])
		}
		hasty = strings.ReplaceAll(hasty, time[0], time[1])
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, file), []byte(hasty), 0o600); err != nil {
		t.Fatal(err)
	}
	return prometheus{programs.Prometheus(t, dir, fmt.Sprintf(`
global: {scrape_interval: 1s}
rule_files: [%s]
scrape_configs:
  - job_name: litellm
    static_configs: [{targets: [%q]}]
`, file, e.server.Address))}
}

// alert is one that Prometheus has, pending or firing.
type alert struct {
	State       string
	Labels      map[string]string
	Annotations map[string]string
}

// of returns the alert of that name about a key.
func (p prometheus) of(name string, k virtualKey) (alert, error) {
	response, err := http.Get("http://" + p.server.Address + "/api/v1/alerts")
	if err != nil {
		return alert{}, fmt.Errorf("%w; its log:\n%s", err, p.server.Log())
	}
	defer response.Body.Close()
	var answer struct{ Data struct{ Alerts []alert } }
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil {
		return alert{}, err
	}
	for _, a := range answer.Data.Alerts {
		if a.Labels["alertname"] == name && a.Labels["hashed_api_key"] == k.hash {
			return a, nil
		}
	}
	return alert{}, nil
}

// fires waits until an alert about a key does.
func (p prometheus) fires(t *testing.T, name string, k virtualKey) {
	t.Helper()
	eventually(t, func() error {
		a, err := p.of(name, k)
		if err == nil && a.State != "firing" {
			err = fmt.Errorf("%s is %q", name, a.State)
		}
		if err == nil {
			t.Logf("%s fires: %s", name, a.Annotations["description"])
		}
		return err
	})
}

// resolves waits until an alert about a key is no more.
func (p prometheus) resolves(t *testing.T, name string, k virtualKey) {
	t.Helper()
	eventually(t, func() error {
		a, err := p.of(name, k)
		if err == nil && a.State != "" {
			err = fmt.Errorf("%s is still %s", name, a.State)
		}
		return err
	})
	t.Logf("%s is resolved", name)
}
