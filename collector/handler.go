package collector

import (
	"log/slog"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// maxScrapes bounds the memory that concurrent scrapes take: more than that get a 503.
const maxScrapes = 10

// Handler serves the metrics of the registry in the format that the client asks for: text, OpenMetrics or
// protobuf (which carries native histograms and created timestamps). Should a series turn out to be invalid, the
// others are served all the same, and the error is logged and counted.
//
// Scrapes are not coalesced (HandlerOpts.CoalesceGather): what was gathered for one client is then handed to
// every other until the slowest of them has read it to the end, so a single one that stalls would freeze the
// metrics of all.
func Handler(reg *prometheus.Registry, log *slog.Logger) http.Handler {
	return promhttp.InstrumentMetricHandler(reg, promhttp.HandlerFor(reg, promhttp.HandlerOpts{
		EnableOpenMetrics:   true,
		ErrorHandling:       promhttp.ContinueOnError,
		ErrorLog:            slog.NewLogLogger(log.Handler(), slog.LevelError),
		MaxRequestsInFlight: maxScrapes,
		Registry:            reg,
	}))
}
