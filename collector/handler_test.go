package collector

import (
	"bytes"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"

	"litellm_budget_exporter/collector/budget"
)

const protobuf = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited"

// scrape asks the handler over a fresh registry of the collectors for a format.
func scrape(t *testing.T, log *slog.Logger, accept string, cs ...prometheus.Collector) *httptest.ResponseRecorder {
	t.Helper()
	reg := prometheus.NewRegistry()
	reg.MustRegister(cs...)
	request := httptest.NewRequest(http.MethodGet, "/metrics", nil)
	request.Header.Set("Accept", accept)
	recorder := httptest.NewRecorder()
	Handler(reg, log).ServeHTTP(recorder, request)
	return recorder
}

func TestFormatsAreNegotiated(t *testing.T) {
	for _, c := range []struct{ accept, contentType string }{
		{"", "text/plain; version=0.0.4"},
		{"text/plain;version=0.0.4", "text/plain; version=0.0.4"},
		{"application/openmetrics-text;version=1.0.0,text/plain;q=0.5", "application/openmetrics-text; version=1.0.0"},
		{protobuf, "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited"},
	} {
		r := scrape(t, slog.New(slog.DiscardHandler), c.accept, always(snapshots["full"], 100))
		if got := r.Header().Get("Content-Type"); r.Code != http.StatusOK || !strings.HasPrefix(got, c.contentType) {
			t.Errorf("Accept %q is answered with %d and %q, not %q", c.accept, r.Code, got, c.contentType)
		}
	}
}

func TestOpenMetrics(t *testing.T) {
	got := scrape(t, slog.New(slog.DiscardHandler), "application/openmetrics-text;version=1.0.0", always(snapshots["full"], 100)).Body.String()
	for _, line := range []string{
		// A counter's family is named without _total, and its series have it.
		"# TYPE litellm_budget_team_spend_observed_usd counter\n",
		"litellm_budget_team_spend_observed_usd_total{team=\"team-a\"} 12.5\n",
		"litellm_budget_key_redis_ttl_seconds{hashed_api_key=\"" + hash("9") + "\"} -1.0\n",
	} {
		if !strings.Contains(got, line) {
			t.Errorf("there is no %q in\n%s", line, got)
		}
	}
	if !strings.HasSuffix(got, "\n# EOF\n") {
		t.Error("it does not end with # EOF")
	}
}

// families reads an answer in protobuf.
func families(t *testing.T, r *httptest.ResponseRecorder) map[string]*dto.MetricFamily {
	t.Helper()
	decoder := expfmt.NewDecoder(r.Body, expfmt.ResponseFormat(r.Header()))
	all := map[string]*dto.MetricFamily{}
	for {
		var f dto.MetricFamily
		err := decoder.Decode(&f)
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		all[f.GetName()] = &f
	}
}

func TestProtobufCarriesNativeHistogramsAndCreation(t *testing.T) {
	all := families(t, scrape(t, slog.New(slog.DiscardHandler), protobuf, always(snapshots["full"], 100), usedTelemetry()))

	for _, m := range all["litellm_budget_exporter_poll_duration_seconds"].GetMetric() {
		if labelValue(m, "loop") != "counters" {
			continue
		}
		h := m.GetHistogram()
		if len(h.GetBucket()) == 0 {
			t.Error("the histogram has no classic buckets")
		}
		// Schema 3: a bucket ends at 2^(1/8), 1.09 times, its beginning.
		if h.GetSchema() != 3 || len(h.GetPositiveSpan()) != 1 || h.GetSampleCount() != 1 {
			t.Errorf("the native histogram is %v", h)
		}
	}
	observed := all["litellm_budget_team_spend_observed_usd_total"].GetMetric()[0].GetCounter()
	if !observed.GetCreatedTimestamp().AsTime().Equal(now.Add(-time.Hour)) {
		t.Errorf("observed spend is %v, without its creation", observed)
	}
}

// TestOneInvalidSeriesSparesTheOthers has two teams whose ids are the same once they are valid UTF-8.
func TestOneInvalidSeriesSparesTheOthers(t *testing.T) {
	var logged bytes.Buffer
	s := &budget.Snapshot{Entities: map[budget.Scope][]*budget.Entity{budget.Team: {
		{ID: teamID("team-\xfe"), Reported: budget.Some(1.0)},
		{ID: teamID("team-\xff"), Reported: budget.Some(2.0)},
		{ID: teamID("well"), Reported: budget.Some(3.0)},
	}}}
	r := scrape(t, slog.New(slog.NewJSONHandler(&logged, nil)), "text/plain", always(s, 100))
	got := r.Body.String()
	if r.Code != http.StatusOK || !strings.Contains(got, "litellm_budget_team_spend_reported_usd{team=\"well\"} 3\n") {
		t.Errorf("status %d, and the team that is well is not in\n%s", r.Code, got)
	}
	if !strings.Contains(logged.String(), `"level":"ERROR"`) || !strings.Contains(logged.String(), "collected before") {
		t.Errorf("the log does not tell of it: %s", logged.String())
	}
}

func TestScrapesAreCounted(t *testing.T) {
	reg := prometheus.NewRegistry()
	h := Handler(reg, slog.New(slog.DiscardHandler))
	for range 2 {
		h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/metrics", nil))
	}
	recorder := httptest.NewRecorder()
	h.ServeHTTP(recorder, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	if !strings.Contains(recorder.Body.String(), "promhttp_metric_handler_requests_total{code=\"200\"} 2\n") {
		t.Errorf("two scrapes are counted as\n%s", recorder.Body)
	}
}

// stalledClient takes nothing of the body until it is released.
type stalledClient struct {
	*httptest.ResponseRecorder
	stalled  chan struct{}
	released chan struct{}
}

func (s *stalledClient) Write(b []byte) (int, error) {
	select {
	case s.stalled <- struct{}{}:
	default:
	}
	<-s.released
	return s.ResponseRecorder.Write(b)
}

// TestAStalledClientHoldsUpNobody has one client stall in the middle of its scrape; the next one must get the
// snapshot of its own time all the same.
func TestAStalledClientHoldsUpNobody(t *testing.T) {
	current := snapshots["full"]
	reg := prometheus.NewRegistry()
	reg.MustRegister(New(func() *budget.Snapshot { return current }, 100))
	h := Handler(reg, slog.New(slog.DiscardHandler))

	stalled := &stalledClient{httptest.NewRecorder(), make(chan struct{}, 1), make(chan struct{})}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		h.ServeHTTP(stalled, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	}()
	<-stalled.stalled

	current = snapshots["stale_source"]
	recorder := httptest.NewRecorder()
	h.ServeHTTP(recorder, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	if !strings.Contains(recorder.Body.String(), "litellm_budget_source_up{source=\"litellm\"} 0\n") {
		t.Error("the second client got the snapshot of the stalled one")
	}
	close(stalled.released)
	<-ended
}
