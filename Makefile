# One door to everything: `make help`.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

export CGO_ENABLED ?= 0
VERSION    := $(shell awk -F'"' '/Version += +"/ || /Version = "/ {print $$2; exit}' internal/version/version.go)
GIT_COMMIT := $(shell git rev-parse HEAD 2>/dev/null || echo unknown)
BUILD_DATE := $(shell git log -1 --format=%cI 2>/dev/null || echo unknown)
V          := openservicemesh.io/osm/internal/version
LDFLAGS    := -s -w -X $(V).Version=$(VERSION) -X $(V).GitCommit=$(GIT_COMMIT) -X $(V).BuildDate=$(BUILD_DATE)
UNIT       := ./api/... ./bench/... ./charts/... ./cmd/... ./demo/... ./docs/... ./internal/... ./test/guides/... ./tools/chartdocs/... ./tools/images/...
STAGE      := @tools/stage

.PHONY: help
help: ## Show this list.
	@awk -F':.*## ' '/^[a-z]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: demo
demo: build ## Run the walk-through on a local cluster, or on yours with CLUSTER=current.
	go run ./test/walkthrough/cmd -cluster=$(or $(CLUSTER),local) $(DEMO_FLAGS)

.PHONY: bars
bars: build ## The measured bars as limits, on a machine that does nothing else: the walk-through's, the local cluster's and the webhook's.
	OSM_BARS=strict go run ./test/walkthrough/cmd
	go run ./bench/injection -n 2000 -max 5ms
	OSM_BARS=strict $(MAKE) --no-print-directory cluster

.PHONY: bench
bench: build ## What the mesh costs, beside the bars; WHAT=dataplane, controlplane, endpoints, xds, sidecar, injection, life, growth or churn for one bench, DOCS=docs/performance.md to keep the tables.
	go run ./bench -what='$(WHAT)' -docs='$(DOCS)'

.PHONY: test
test: ## Every check and every suite, end-to-end tests on a local cluster included.
	$(STAGE) check    $(MAKE) --no-print-directory check
	$(STAGE) pipeline $(MAKE) --no-print-directory pipeline
	$(STAGE) compat   $(MAKE) --no-print-directory compat
	$(STAGE) cluster  $(MAKE) --no-print-directory cluster
	$(STAGE) life     $(MAKE) --no-print-directory life
	$(STAGE) e2e      $(MAKE) --no-print-directory e2e

.PHONY: check
check: ## Format, generate, lint, unit and feature tests with the race detector; no diff may be left.
	$(STAGE) format   $(MAKE) --no-print-directory format
	$(STAGE) generate $(MAKE) --no-print-directory generate
	$(STAGE) lint     $(MAKE) --no-print-directory lint
	$(STAGE) unit     $(MAKE) --no-print-directory unit
	$(STAGE) feature  $(MAKE) --no-print-directory feature
	$(STAGE) no-diff  git diff --exit-code --stat

.PHONY: format
format: ## Format the code.
	gofmt -w $$(git ls-files '*.go')

.PHONY: generate
generate: ## Write generated code, CRDs, the reference of the chart's values and the dashboards anew.
	tools/generate-api.sh
	go run ./tools/chartdocs
	go run ./tools/dashboards

.PHONY: lint
lint: bin/golangci-lint ## Check the code and the walls of the architecture.
	bin/golangci-lint run ./...
	cd localcluster && ../bin/golangci-lint run --config ../.golangci.yml ./cmd/localcluster/... ./internal/...

.PHONY: unit
unit: bin/envoy ## Unit tests with the race detector.
	CGO_ENABLED=1 go test -race $(UNIT)
	cd localcluster && CGO_ENABLED=1 go test -race ./cmd/localcluster/... ./internal/...
	cd tools/crdgen && go test ./...

.PHONY: feature
feature: bin/envoy ## The control plane in process, with a real delta client and a real Envoy.
	CGO_ENABLED=1 go test -race ./test/feature/...

.PHONY: pipeline
pipeline: bin/envoy ## Golden configurations, each accepted by a real Envoy.
	go test ./test/pipeline/...

.PHONY: compat
compat: ## What users of Open Service Mesh observe.
	go test ./test/compat/...

.PHONY: e2e
e2e: build ## Real Kubernetes, real Envoy; needs root.
	go test -count=1 -timeout=55m -v ./test/e2e
	OSM_BENCH_SMOKE=1 go test -count=1 -timeout=5m -v ./bench/controlplane

.PHONY: life
life: build ## A mesh from installation to removal: the previous version (test/life/previous), upgrades under load, back; needs root.
	go test -count=1 -timeout=15m -v ./test/life

.PHONY: cluster
cluster: bin/localcluster ## The local cluster's own tests: ten times up and down, crashes, two side by side; needs root.
	cd localcluster && go test -tags e2e -count=1 -timeout 40m -v ./e2e

# Functions aligned to 32 bytes, as is usual, would make the command 1 MB larger, and Envoy's field validation 5 MB: the
# injector is built with it, the command is not.
.PHONY: build
build: bin/localcluster bin/envoy $(if $(shell command -v kubectl),,bin/kubectl) ## The osm command and the local cluster's, in bin/.
	go build -trimpath -tags disable_pgv -ldflags '$(LDFLAGS) -funcalign=16' -o bin/ ./cmd/osm

.PHONY: images
images: ## Every image as a tar in bin/images; with `push REGISTRY=…`, in a registry too.
	go run ./tools/images build -o bin/images

.PHONY: push
push: ## Push every image: make images push REGISTRY=registry.example.com/osm
	@test -n "$(REGISTRY)" || { echo "make push: set REGISTRY, for example REGISTRY=registry.example.com/osm"; exit 2; }
	go run ./tools/images push -o bin/images $(REGISTRY)

# Kubernetes' own kubectl, for machines that have none.
bin/kubectl:
	cd localcluster && go build -o ../bin/kubectl ./cmd/kubectl

.PHONY: bin/localcluster
bin/localcluster:
	cd localcluster && go build -trimpath -o ../bin/localcluster ./cmd/localcluster

bin/envoy:
	go run ./tools/images envoy-binary bin/envoy

bin/golangci-lint: tools/lint/go.mod
	cd tools/lint && go build -o ../../bin/golangci-lint github.com/golangci/golangci-lint/v2/cmd/golangci-lint
