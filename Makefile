# `make` builds the program, `make test` checks everything.

GOLANGCI_LINT_VERSION := v2.15.0

TOOLS         := $(CURDIR)/.tools/bin
GOLANGCI_LINT := $(TOOLS)/golangci-lint-$(GOLANGCI_LINT_VERSION)
PROGRAM       := ./cmd/litellm_budget_exporter

# The date is the commit's, so that one commit always builds the same program.
VERSION_PACKAGE := github.com/prometheus/common/version
LDFLAGS = -X $(VERSION_PACKAGE).Version=$(shell git describe --tags --always --dirty 2>/dev/null) \
          -X $(VERSION_PACKAGE).Revision=$(shell git rev-parse HEAD 2>/dev/null) \
          -X $(VERSION_PACKAGE).Branch=$(shell git rev-parse --abbrev-ref HEAD 2>/dev/null) \
          -X $(VERSION_PACKAGE).BuildDate=$(shell git show -s --format=%cI 2>/dev/null)

.PHONY: build
build:
	CGO_ENABLED=0 go build -trimpath -ldflags '$(LDFLAGS)' $(PROGRAM)

.PHONY: demo
demo:
	go run $(PROGRAM) demo

.PHONY: test
test: packages lint
	go test -race -timeout 15m ./...
	$(MAKE) examples

# What people copy, and the Dockerfile, under tools that know each format. They are a module of their own.
.PHONY: examples
examples: packages $(GOLANGCI_LINT)
	cd examples/checks && $(GOLANGCI_LINT) run && go test -timeout 30m ./...

.PHONY: image
image:
	docker build --tag litellm-budget-exporter --build-arg VERSION="$$(git describe --tags --always --dirty)" \
	  --build-arg REVISION="$$(git rev-parse HEAD)" --build-arg SOURCE_DATE_EPOCH="$$(git show -s --format=%ct)" .

# Against a real LiteLLM, with RUN=TestRelease/failure only a part of it. The kit says what it needs.
RELEASE ?= 1.84.0
.PHONY: conformance
conformance:
	go test -tags conformance -count=1 -parallel 8 -timeout 30m -v -run '$(RUN)' ./conformance/real -release $(RELEASE)

.PHONY: bench
bench:
	go test -run '^$$' -bench . -benchmem ./...

.PHONY: lint
lint: $(GOLANGCI_LINT)
	go vet ./...
	$(GOLANGCI_LINT) run

.PHONY: fmt
fmt: $(GOLANGCI_LINT)
	$(GOLANGCI_LINT) fmt

.PHONY: packages
packages:
	.ci/install-packages

# Building it takes some minutes, once for each version.
$(GOLANGCI_LINT):
	CGO_ENABLED=0 GOBIN=$(TOOLS) go install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(GOLANGCI_LINT_VERSION)
	mv $(TOOLS)/golangci-lint $@
