package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	versioncollector "github.com/prometheus/client_golang/prometheus/collectors/version"

	"litellm_budget_exporter/collector"
	"litellm_budget_exporter/collector/config"
	"litellm_budget_exporter/collector/counters"
	"litellm_budget_exporter/collector/judgement"
	"litellm_budget_exporter/collector/litellm"
	"litellm_budget_exporter/collector/poller"
)

// errEnding is the answer to who wants a reload of an exporter that ends.
var errEnding = errors.New("the exporter is about to end")

// exporter reads both sources and shows what it read.
type exporter struct {
	load      func() (*config.Config, error)
	logger    *slog.Logger
	telemetry *collector.Telemetry
	poller    *poller.Poller
	collector *collector.Collector
	metrics   http.Handler

	config atomic.Pointer[config.Config] // in force

	redis   *counters.Reader // of the settings in force; nil without a Redis
	reloads chan chan error  // who wants a reload sends where to tell the outcome
	ended   chan struct{}    // closed when nobody receives reloads any more
}

// settings are what a configuration comes to.
type settings struct {
	config *config.Config
	poller poller.Options
	redis  *counters.Reader
	limit  int
}

// newExporter loads the configuration and prepares everything; nothing is read yet.
func newExporter(load func() (*config.Config, error), logger *slog.Logger) (*exporter, error) {
	e := &exporter{
		load:      load,
		logger:    logger,
		telemetry: collector.NewTelemetry(),
		reloads:   make(chan chan error),
		ended:     make(chan struct{}),
	}
	s, err := e.loadSettings()
	if err != nil {
		return nil, err
	}
	e.redis = s.redis
	e.config.Store(s.config)
	e.poller = poller.New(s.poller)
	e.collector = collector.New(e.poller.Snapshot, s.limit)

	registry := prometheus.NewRegistry()
	registry.MustRegister(
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		versioncollector.NewCollector(name),
		e.telemetry,
		e.collector,
	)
	e.metrics = collector.Handler(registry, logger)
	return e, nil
}

// run reads both sources until ctx ends. A reload interrupts the reading for the moment that it takes to go over
// to the new settings.
func (e *exporter) run(ctx context.Context) error {
	defer close(e.ended)
	defer e.closeRedis()
	for {
		polling, stop := context.WithCancel(ctx)
		var poller sync.WaitGroup
		poller.Go(func() { _ = e.poller.Run(polling) }) // ends by its context only

		s, done := e.nextSettings(ctx)
		stop()
		poller.Wait()
		if s == nil {
			return ctx.Err()
		}
		e.closeRedis()
		e.redis = s.redis
		e.config.Store(s.config)
		e.poller.Reconfigure(s.poller)
		e.collector.SetLimit(s.limit)
		done <- nil
	}
}

// teller explains what was read.
func (e *exporter) teller() teller { return teller{e.poller, &e.config} }

// nextSettings waits for a reload that succeeds and returns its settings and where to tell that they are in
// force; nil when ctx ends.
func (e *exporter) nextSettings(ctx context.Context) (*settings, chan<- error) {
	for {
		select {
		case <-ctx.Done():
			return nil, nil
		case outcome := <-e.reloads:
			s, err := e.loadSettings()
			if err == nil {
				return s, outcome
			}
			outcome <- err
		}
	}
}

// reload replaces the settings in force. After an error the old ones stay.
func (e *exporter) reload() error {
	outcome := make(chan error, 1)
	select {
	case e.reloads <- outcome:
	case <-e.ended:
		return errEnding
	}
	err := <-outcome
	if err != nil {
		e.logger.Error("the configuration cannot be reloaded, the old one stays in force", "err", err)
	} else {
		e.logger.Info("the configuration is reloaded")
	}
	return err
}

// reloadOn reloads at every signal until ctx ends.
func (e *exporter) reloadOn(ctx context.Context, hangup <-chan os.Signal) error {
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-hangup:
			_ = e.reload() // its error is logged, and there is nobody to give it to
		}
	}
}

// loadSettings loads the configuration and makes the clients that it asks for.
func (e *exporter) loadSettings() (*settings, error) {
	s, err := e.makeSettings()
	e.telemetry.ConfigReloaded(err == nil, time.Now())
	return s, err
}

func (e *exporter) makeSettings() (*settings, error) {
	cfg, err := e.load()
	if err != nil {
		return nil, err
	}
	client, err := litellm.New(litellm.Options{
		URL:     cfg.LiteLLM.URL,
		HTTP:    cfg.LiteLLM.HTTP,
		Timeout: cfg.LiteLLM.Timeout,
		Observe: e.telemetry.CountRequest,
	})
	if err != nil {
		return nil, err
	}
	s := &settings{
		config: cfg,
		limit:  cfg.Limits.EntitiesPerScope,
		poller: poller.Options{
			Identity:         identity(cfg),
			API:              client,
			Version:          cfg.LiteLLM.Version,
			MaxBusyRatio:     cfg.LiteLLM.MaxBusyRatio,
			Inventory:        cfg.Intervals.Inventory,
			CounterInterval:  cfg.Intervals.Counters,
			StalenessLiteLLM: cfg.Staleness.LiteLLM,
			StalenessRedis:   cfg.Staleness.Redis,
			Scopes:           cfg.Scopes,
			Keys:             cfg.Entities.Keys,
			Teams:            cfg.Entities.Teams,
			Refusals:         cfg.Refusals,
			Judge: judgement.Params{
				ToleranceUSD:    cfg.Tolerance.USD,
				ToleranceRatio:  cfg.Tolerance.Ratio,
				WriteLag:        cfg.Tolerance.WriteLag,
				CounterInterval: cfg.Intervals.Counters,
			},
			Telemetry: e.telemetry,
			Logger:    e.logger,
		},
	}
	if cfg.Redis == nil {
		e.logger.Warn("no Redis is configured: only the reported side is read, and nobody can be found falsely locked or bypassed")
		return s, nil
	}
	redis := *cfg.Redis
	redis.Logger = e.logger
	if s.redis, err = counters.New(redis); err != nil {
		return nil, err
	}
	s.poller.Counters = s.redis
	return s, nil
}

// identity names the LiteLLM and the Redis that are read.
func identity(cfg *config.Config) string {
	if cfg.Redis == nil {
		return cfg.LiteLLM.URL
	}
	r := cfg.Redis
	return fmt.Sprintf("%s %s %s %s %d %q", cfg.LiteLLM.URL, r.Mode, strings.Join(r.Addresses, ","), r.MasterName, r.DB, r.Namespace)
}

// closeRedis ends the connections of a reader that is no longer in use.
func (e *exporter) closeRedis() {
	if e.redis == nil {
		return
	}
	if err := e.redis.Close(); err != nil {
		e.logger.Warn("closing the connections to Redis failed", "err", err)
	}
}
