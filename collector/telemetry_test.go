package collector

import (
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
)

// usedTelemetry is a Telemetry of which every metric has something to tell.
func usedTelemetry() *Telemetry {
	t := NewTelemetry()
	t.ObservePoll("counters", 20*time.Millisecond)
	t.ObservePoll("inventory", 42*time.Second)
	t.CountError("redis", "noperm")
	t.CountRequest("/key/list", "200")
	t.CountRequest("/key/list", "none")
	t.ConfigReloaded(true, now)
	return t
}

func TestTelemetryStartsAtZero(t *testing.T) {
	fresh := NewTelemetry()
	if n := testutil.CollectAndCount(fresh, "litellm_budget_exporter_poll_errors_total"); n != 15+10 {
		t.Errorf("%d reasons of failure stand at 0 from the start, not 25", n)
	}
	if n := testutil.CollectAndCount(fresh, "litellm_budget_exporter_poll_duration_seconds"); n != 4 {
		t.Errorf("%d loops have a histogram from the start, not 4", n)
	}
	for _, name := range []string{reloadSuccessful.name, reloadTimestamp.name} {
		if n := testutil.CollectAndCount(fresh, name); n != 0 {
			t.Errorf("%s is there before the configuration was loaded", name)
		}
	}
}

func TestConfigReloaded(t *testing.T) {
	tel := NewTelemetry()
	expect := func(exposed string) {
		t.Helper()
		if err := testutil.CollectAndCompare(tel, strings.NewReader(exposed), reloadSuccessful.name, reloadTimestamp.name); err != nil {
			t.Error(err)
		}
	}
	const success = `
# HELP litellm_budget_exporter_config_last_reload_success_timestamp_seconds When the configuration was last loaded with success, in Unix time.
# TYPE litellm_budget_exporter_config_last_reload_success_timestamp_seconds gauge
litellm_budget_exporter_config_last_reload_success_timestamp_seconds 1.7495568e+09
# HELP litellm_budget_exporter_config_last_reload_successful 1 if the last attempt to load the configuration succeeded, else 0: then the one before is still in use.
# TYPE litellm_budget_exporter_config_last_reload_successful gauge
litellm_budget_exporter_config_last_reload_successful 1
`
	tel.ConfigReloaded(true, now)
	expect(success)
	tel.ConfigReloaded(false, now.Add(time.Hour)) // keeps the time of the last success
	expect(strings.Replace(success, "successful 1\n", "successful 0\n", 1))
}
