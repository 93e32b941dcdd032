package alerts

import (
	"strings"
	"testing"
)

const alertmanagerFile = "../examples/alertmanager/alertmanager.yml"

func TestAmtoolAcceptsTheExample(t *testing.T) {
	run(t, "amtool", "prometheus-alertmanager", "check-config", alertmanagerFile)
}

// TestRoutes holds where the example routing sends every alert there is, and what is none of ours.
func TestRoutes(t *testing.T) {
	receivers := map[string]string{"critical": "page,chat", "warning": "chat", "info": "record"}
	for _, r := range loadAlerts(t) {
		t.Run(r.name(), func(t *testing.T) {
			labels := []string{"alertname=" + r.Alert, "job=litellm"}
			for name, value := range r.Labels {
				labels = append(labels, name+"="+value)
			}
			route(t, receivers[r.Labels["severity"]], labels...)
		})
	}
	t.Run("somebody else's", func(t *testing.T) {
		route(t, "chat", "alertname=HostDown", "severity=critical")
	})
}

func route(t *testing.T, receivers string, labels ...string) {
	t.Helper()
	args := append([]string{"config", "routes", "test", "--config.file=" + alertmanagerFile, "--verify.receivers=" + receivers}, labels...)
	out := run(t, "amtool", "prometheus-alertmanager", args...)
	if !strings.Contains(out, receivers) {
		t.Errorf("amtool says %s, want %s", out, receivers)
	}
}
