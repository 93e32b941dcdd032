package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
	"time"

	rungroup "github.com/oklog/run"
	"github.com/prometheus/common/version"
	"github.com/prometheus/exporter-toolkit/web"

	"litellm_budget_exporter/collector/config"
)

// shutdownTimeout is how long requests under way may take when the exporter ends.
const shutdownTimeout = 10 * time.Second

// serve runs the exporter on the LiteLLM and the Redis of the configuration.
func (p *program) serve(ctx context.Context) error {
	return p.export(ctx, func() (*config.Config, error) { return config.Load(p.configFile, p.env) })
}

// export runs the exporter with the configuration that load gives, now and at each reload, until ctx ends.
func (p *program) export(ctx context.Context, load func() (*config.Config, error)) error {
	// From here on SIGHUP asks for a reload.
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP)
	defer signal.Stop(hangup)

	p.logger.Info("starting", "program", name, "version", version.Info(), "build_context", version.BuildContext())
	e, err := newExporter(load, p.logger)
	if err != nil {
		return err
	}
	server, err := newServer(p.web, routes{
		snapshot: e.poller.Snapshot,
		explain:  e.teller().explain,
		ready:    e.poller.Ready,
		reload:   e.reload,
		metrics:  e.metrics,
		logger:   p.logger,
	})
	if err != nil {
		return err
	}

	// Whichever ends first ends the others; what is being scraped then is served to its end.
	var group rungroup.Group
	reading, stopReading := context.WithCancel(ctx)
	group.Add(
		func() error { return e.run(reading) },
		func(error) { stopReading() },
	)
	group.Add(
		func() error { return e.reloadOn(reading, hangup) },
		func(error) { stopReading() },
	)
	group.Add(
		func() error { return web.ListenAndServe(server, p.web.listen, p.logger) },
		func(error) {
			finish, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
			defer cancel()
			if err := server.Shutdown(finish); err != nil {
				p.logger.Warn("some requests were cut off", "err", err)
			}
		},
	)
	err = group.Run()
	if ctx.Err() != nil { // asked to end
		p.logger.Info("ended")
		return nil
	}
	return err
}
