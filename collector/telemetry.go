package collector

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"litellm_budget_exporter/collector/budget"
)

// namespace begins the names of the metrics that tell of the exporter itself.
const namespace = "litellm_budget_exporter"

// loops are those of the poller.
var loops = []string{"inventory", "counters", "rows", "confirmation"}

// reasons are why a reading of a source can fail.
var reasons = map[budget.Source][]string{
	budget.LiteLLM: {
		"timeout", "connection", "tls", "redirect", "unauthorized", "forbidden", "not_admin", "viewer_without_user",
		"own_budget", "rate_limited", "database_down", "server_error", "malformed", "too_large", "other",
	},
	budget.Redis: {
		"timeout", "connection", "tls", "noauth", "noperm", "loading", "unavailable", "wrongtype", "malformed", "other",
	},
}

// Telemetry holds the metrics of what the exporter itself does. It implements prometheus.Collector; its methods
// are safe for concurrent use.
type Telemetry struct {
	pollDuration     *prometheus.HistogramVec
	pollErrors       *prometheus.CounterVec
	apiRequests      *prometheus.CounterVec
	reloadSuccessful *prometheus.GaugeVec // without labels: absent until there was a first attempt
	reloadTimestamp  *prometheus.GaugeVec // likewise, until a first success
}

// NewTelemetry returns a Telemetry in which every loop and every reason of failure stands at 0.
func NewTelemetry() *Telemetry {
	t := &Telemetry{
		pollDuration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: pollDuration.name, //nolint:promlinter // from the catalogue, which a test has promtool check
			Help: pollDuration.help,
			// A pass takes from a round trip to Redis up to a sweep through a million keys.
			Buckets:                         []float64{.005, .025, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 300, 1800},
			NativeHistogramBucketFactor:     1.1,
			NativeHistogramMaxBucketNumber:  100,
			NativeHistogramMinResetDuration: time.Hour,
		}, pollDuration.labels),
		pollErrors:       prometheus.NewCounterVec(prometheus.CounterOpts(pollErrors.opts("")), pollErrors.labels),
		apiRequests:      prometheus.NewCounterVec(prometheus.CounterOpts(apiRequests.opts("")), apiRequests.labels),
		reloadSuccessful: prometheus.NewGaugeVec(prometheus.GaugeOpts(reloadSuccessful.opts("")), nil),
		reloadTimestamp:  prometheus.NewGaugeVec(prometheus.GaugeOpts(reloadTimestamp.opts("")), nil),
	}
	for _, l := range loops {
		t.pollDuration.WithLabelValues(l)
	}
	for source, all := range reasons {
		for _, r := range all {
			t.pollErrors.WithLabelValues(string(source), r)
		}
	}
	return t
}

// ObservePoll records how long one pass of a loop took: inventory, counters, rows or confirmation.
func (t *Telemetry) ObservePoll(loop string, d time.Duration) {
	t.pollDuration.WithLabelValues(loop).Observe(d.Seconds())
}

// CountError counts a failed reading of a source (litellm or redis), by one of the reasons of that source.
func (t *Telemetry) CountError(source, reason string) {
	t.pollErrors.WithLabelValues(source, reason).Inc()
}

// CountRequest counts a request to LiteLLM by its path, without prefix and query, and its HTTP status code, or
// "none" without an answer.
func (t *Telemetry) CountRequest(endpoint, code string) {
	t.apiRequests.WithLabelValues(endpoint, code).Inc()
}

// ConfigReloaded records an attempt to load the configuration, the first one included.
func (t *Telemetry) ConfigReloaded(ok bool, at time.Time) {
	if !ok {
		t.reloadSuccessful.WithLabelValues().Set(0)
		return
	}
	t.reloadSuccessful.WithLabelValues().Set(1)
	t.reloadTimestamp.WithLabelValues().Set(float64(at.UnixMilli()) / 1e3)
}

// Describe implements prometheus.Collector.
func (t *Telemetry) Describe(ch chan<- *prometheus.Desc) {
	for _, c := range t.parts() {
		c.Describe(ch)
	}
}

// Collect implements prometheus.Collector.
func (t *Telemetry) Collect(ch chan<- prometheus.Metric) {
	for _, c := range t.parts() {
		c.Collect(ch)
	}
}

func (t *Telemetry) parts() []prometheus.Collector {
	return []prometheus.Collector{t.pollDuration, t.pollErrors, t.apiRequests, t.reloadSuccessful, t.reloadTimestamp}
}
