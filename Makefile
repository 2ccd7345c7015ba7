# Everything runs with Go alone; tools are pinned in tools/go.mod and built into tools/bin.
GO       ?= go
MODULES  := . contract chaos examples bench
NEXT     := go1.27.4
LINT     := tools/bin/golangci-lint
ACTIONS  := tools/bin/actionlint
APIDIFF  := tools/bin/apidiff
VULN     := tools/bin/govulncheck
FUZZTIME ?= 1m
ROUNDS   ?= 10

.PHONY: help demo demo-board demo-variables demo-insights demo-oidc demo-caches demo-schedules demo-sshkeys demo-runners demo-supersede demo-fleet demo-audit test test-next lint vet cross apidiff check vulncheck bench cover fuzz tidy clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 18

demo: ## follow a pipeline of the built-in fake service
	@$(GO) -C examples run ./run -demo

demo-board: ## a dashboard of the newest runs of nine repositories of the built-in fake service
	@$(GO) -C examples run ./board -demo -tail 3

demo-variables: ## variables as code: a plan, and what it does
	@$(GO) -C examples run ./variables apply -demo -prune

demo-insights: ## a report on a made-up history: examples/insights.html
	@$(GO) -C examples run ./insights -demo

demo-oidc: ## a server that accepts the tokens of steps, and refuses forged ones
	@$(GO) -C examples run ./oidc -demo

demo-caches: ## the sizes of a repository's caches, and what deleting old ones would do, on the built-in fake service
	@$(GO) -C examples run ./caches -demo
	@$(GO) -C examples run ./caches -demo -older 3d -delete -dry-run

demo-schedules: ## when a repository's schedules run next, and a copy of them, on the built-in fake service
	@$(GO) -C examples run ./schedules -demo
	@$(GO) -C examples run ./schedules -demo -copy-to acme/shop

demo-sshkeys: ## a new SSH key pair and known hosts, on the built-in fake service
	@$(GO) -C examples run ./sshkeys -demo
	@$(GO) -C examples run ./sshkeys -demo -new -replace

demo-runners: ## self-hosted runners and stale ones, on the built-in fake service
	@$(GO) -C examples run ./runners -demo
	@$(GO) -C examples run ./runners -demo -stale 24h -delete

demo-supersede: ## stop runs that newer ones have made pointless, then more as they come, on the built-in fake service
	@$(GO) -C examples run ./supersede apply --demo
	@$(GO) -C examples run ./supersede apply --demo --watch

# Exit status 1 says that some repositories fail, as they are to in the demos.
demo-fleet: ## change 240 repositories of the built-in fake service by a shared queue
	@$(GO) -C examples build -o $(CURDIR)/tools/bin/fleet ./fleet && { tools/bin/fleet run --demo || test $$? -eq 1; }

demo-audit: ## what twelve repositories of the built-in fake service have, and their build time: examples/audit.html
	@$(GO) -C examples build -o $(CURDIR)/tools/bin/fleet ./fleet && { tools/bin/fleet audit --demo --html examples/audit.html || test $$? -eq 1; }

# The race detector needs cgo, which Go switches off where there is no C compiler.
RACE := $(if $(filter 1,$(shell $(GO) env CGO_ENABLED)),-race)

test: ## all tests of all modules, with the race detector where there is a C compiler
	@for m in $(MODULES); do echo "== $$m"; $(GO) -C $$m test $(RACE) ./... || exit 1; done

test-next: ## the same on the next Go release: the SDK and its fake for coverage, so without the race detector
	@GOTOOLCHAIN=$(NEXT) $(GO) test ./internal/...
	@GOTOOLCHAIN=$(NEXT) $(MAKE) --no-print-directory RACE= MODULES="$(filter-out .,$(MODULES))" cover test

lint: $(LINT) $(ACTIONS) ## golangci-lint in all modules, actionlint for the workflows
	@$(ACTIONS) .github/workflows/*.yml
	@for m in $(MODULES); do echo "== $$m"; (cd $$m && $(CURDIR)/$(LINT) run --config $(CURDIR)/.golangci.yml ./...) || exit 1; done

vet: ## go vet in all modules
	@for m in $(MODULES); do $(GO) -C $$m vet ./... || exit 1; done

cross: ## compiles for Windows and macOS
	@for os in windows darwin; do for m in $(MODULES); do \
		echo "== $$os $$m"; GOOS=$$os $(GO) -C $$m build -o /dev/null ./... && GOOS=$$os $(GO) -C $$m vet ./... || exit 1; done; done

apidiff: $(APIDIFF) ## the exported API against the last release's: CHANGELOG.md has to name what breaks
	@APIDIFF=$(CURDIR)/$(APIDIFF) GO=$(GO) .ci/apidiff

check: vet lint cross apidiff test test-next ## everything that has to be clean

vulncheck: $(VULN) ## known vulnerabilities, in all modules; needs the network
	@GOVULNCHECK=$(CURDIR)/$(VULN) .ci/vulncheck $(MODULES)

cover: ## tests of the SDK and of the fake server, and their coverage: 90 % at least
	@for pkg in . ./pipelinestest; do $(GO) test -coverprofile=cover.out -coverpkg=$$pkg $$pkg && \
		$(GO) tool cover -func=cover.out | awk -v what=$$pkg $(COVERED) || exit 1; done

COVERED := '/^total:/ { print what ": " $$3; if ($$3 + 0 < 90) { print "less than 90 %"; exit 1 } }'

bench: ## the SDK against hand-written net/http and go-bitbucket, in one run
	@rm -f bench/rows.md
	@BENCH_ROWS=$(CURDIR)/bench/rows.md $(GO) -C bench test -count 1 -run '^TestPolling' . >/dev/null
	@$(GO) -C bench run . -rounds $(ROUNDS) -rows rows.md

fuzz: ## each fuzz target for FUZZTIME
	@for m in $(MODULES); do for pkg in $$($(GO) -C $$m list ./...); do for f in $$($(GO) -C $$m test -list '^Fuzz' $$pkg | grep '^Fuzz'); do \
		echo "== $$pkg $$f"; $(GO) -C $$m test -run '^$$' -fuzz "^$$f$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 10x $$pkg || exit 1; done; done; done

tidy: ## go mod tidy in all modules
	@for m in $(MODULES) tools; do $(GO) -C $$m mod tidy || exit 1; done

clean:
	@rm -rf tools/bin cover.out bench/rows.md

tools/bin/%: tools/go.mod tools/go.sum
	@$(GO) -C tools build -o bin/$* "$$($(GO) -C tools list tool | grep "/$*$$")"
