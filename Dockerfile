# docker build -t litellm-budget-exporter \
#   --build-arg VERSION="$(git describe --tags --always --dirty)" --build-arg REVISION="$(git rev-parse HEAD)" \
#   --build-arg SOURCE_DATE_EPOCH="$(git show -s --format=%ct)" .
#
# The same commit and arguments give the same program, byte for byte, wherever and whenever it is built; with
# `--output type=image,rewrite-timestamp=true` the same image as well. `make image` runs the command above.

FROM busybox:1.37.0-musl AS busybox

# It compiles on the builder's own platform, whatever platform the image is for.
FROM --platform=$BUILDPLATFORM golang:1.26.5-alpine AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY cmd cmd
COPY collector collector
# The demo command brings its simulated LiteLLM along.
COPY examples/simulator examples/simulator
ARG TARGETOS
ARG TARGETARCH
ARG VERSION=unknown
ARG REVISION=unknown
ARG SOURCE_DATE_EPOCH=0
# Without .git the version comes from the arguments, so -buildvcs has nothing to say.
RUN pkg=github.com/prometheus/common/version && \
    CGO_ENABLED=0 GOOS=$TARGETOS GOARCH=$TARGETARCH go build -trimpath -buildvcs=false \
      -ldflags "-s -w -X $pkg.Version=$VERSION -X $pkg.Revision=$REVISION -X $pkg.BuildDate=$(date -u -d "@$SOURCE_DATE_EPOCH" +%Y-%m-%dT%H:%M:%SZ)" \
      ./cmd/litellm_budget_exporter

FROM scratch
ARG VERSION=unknown
ARG REVISION=unknown
LABEL org.opencontainers.image.title="litellm_budget_exporter" \
      org.opencontainers.image.description="Shows Prometheus how far the spend that LiteLLM enforces has drifted from the spend that it reports" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.revision="$REVISION"
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
# For the health check below and nothing else: under this name it is wget, no shell.
COPY --from=busybox /bin/busybox /wget
COPY --from=build /src/litellm_budget_exporter /
# A number, so that Kubernetes can see that it is not root. Nothing is ever written: the root may be read-only.
USER 65532:65532
EXPOSE 10047
# Docker's own check, for the default address. Where TLS, a path prefix or another port is configured give your own, or
# --no-healthcheck; orchestrators ask GET /-/healthy and /-/ready themselves.
HEALTHCHECK --interval=15s --timeout=3s --start-period=10s --retries=3 \
  CMD ["/wget", "-q", "-O", "/dev/null", "http://127.0.0.1:10047/-/healthy"]
ENTRYPOINT ["/litellm_budget_exporter"]
