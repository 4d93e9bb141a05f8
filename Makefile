# make or make help lists the targets. Only Go and git are needed; the race
# detector needs a C compiler too.

GO       ?= go
FUZZTIME ?= 20s
BENCHDOC ?= docs/benchmarks.md
# The commit goes into the binary where git can tell it.
BUILDVCS := $(shell git status >/dev/null 2>&1 && echo auto || echo false)

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' Makefile

.PHONY: build
build: ## build bin/dacorch
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags='-s -w' -buildvcs=$(BUILDVCS) -o bin/dacorch ./cmd/dacorch

.PHONY: demo
demo: build ## run the demo: a pod crash and a re-orchestration, twenty minutes in a moment
	bin/dacorch sim run scenarios/first-light.yaml

.PHONY: demo-tui
demo-tui: build ## watch a simulation with churn and faults in the terminal, break it, go back in time; q ends it
	bin/dacorch tui scenarios/control-room.yaml

.PHONY: dev
dev: build ## run the whole platform in one process, to try things out; Ctrl-C ends it
	bin/dacorch serve --dev

.PHONY: test
test: ## run every test
	$(GO) test ./...

.PHONY: check
check: ## hold the source to its rules: gofmt, go vet, staticcheck, layout_test.go
	@unformatted=$$(gofmt -l .); if [ -n "$$unformatted" ]; then \
		echo "not formatted, run gofmt -w on:"; echo "$$unformatted"; exit 1; fi
	$(GO) vet ./...
	$(GO) tool staticcheck ./...
	$(GO) test -count=1 -run '^TestLayout' .

.PHONY: race
race: ## run every test under the race detector
	$(GO) test -race -timeout 30m ./...

.PHONY: scenarios
scenarios: build ## run every shipped scenario, say which failed; one without its trace file, or for --on wire alone, is skipped
	@failed=; skipped=; ok=0; \
	for file in scenarios/*.yaml; do \
		if out=$$(bin/dacorch sim run --quiet $$file 2>&1); then \
			echo "ok    $$file"; ok=$$((ok+1)); \
		else \
			code=$$?; \
			case $$code$$out in \
			2*" is not there."*) echo "skip  $$file"; skipped="$$skipped $$file";; \
			2*" says on: wire"*) echo "skip  $$file: it needs real time and real protocols"; continue;; \
			*) echo "FAIL  $$file"; failed="$$failed $$file";; \
			esac; \
			printf '%s\n' "$$out" | sed 's/^/      /'; \
			[ $$code -ne 130 ] || exit 130; \
		fi; \
	done; \
	echo "$$ok scenarios held$${skipped:+; skipped:$$skipped}$${failed:+; failed:$$failed}"; \
	[ -z "$$failed" ] && { [ -z "$$skipped" ] || [ -z "$(TRACES_REQUIRED)" ]; }

# With the same seeds each time by default; --from=$(date +%s) takes fresh ones, and
# the summary says which.
SWEEP ?= --seeds=5000
.PHONY: sweep
sweep: build ## play made-up variants of every scenario, as many as SWEEP says (--seeds=5000)
	bin/dacorch sim sweep all --swarm --out bin/sweep-failures $(SWEEP)

.PHONY: mutants
mutants: ## prove the sweep: every mutant of the core must be found, and shrunk to ten lines
	MUTANTS=all $(GO) test -count=1 -timeout 30m -run '^TestMutants' -v ./sim/sweep

# Go before 1.27 sometimes ends a target with "context deadline exceeded" when its
# time is up (go.dev/issue/75804); that is no failing input, and no failure here.
.PHONY: fuzz
fuzz: ## fuzz every target for FUZZTIME (20s) each
	@mkdir -p bin
	@$(GO) test -list '^Fuzz' ./... >bin/fuzz.txt || { cat bin/fuzz.txt; exit 1; }
	@awk '/^Fuzz/ {names = names " " $$1} /^ok/ {n = split(names, name, " "); for (i = 1; i <= n; i++) print $$2, name[i]; names = ""}' bin/fuzz.txt | \
	while read -r package name; do \
		echo "$$package $$name"; \
		if $(GO) test -run '^$$' -fuzz "^$$name\$$" -fuzztime $(FUZZTIME) $$package >bin/fuzz.log 2>&1 </dev/null; then \
			grep -E '^(fuzz: .*execs|ok)' bin/fuzz.log | tail -n 2; \
		elif grep -q '^ *context deadline exceeded' bin/fuzz.log && ! grep -qi 'failing input\|panic' bin/fuzz.log; then \
			echo "time was up while an input ran; none failed"; \
		else \
			cat bin/fuzz.log; exit 1; \
		fi; \
	done

# One section of BENCHDOC: its name, go test's flags, packages. On one core, so
# that what is measured is not helped by the collector on another.
gobench = $(GO) test -run '^$$' -cpu 1 -benchmem -timeout 3h
document = || { cat bin/bench-$(1).txt; exit 1; }; $(GO) run ./cmd/benchdoc -section $(1) $(base_$(1)) -file $(BENCHDOC) <bin/bench-$(1).txt >bin/bench.log
base_production = -base raw
base_scale = -base raw
measure = echo "measuring $(1) …" && $(gobench) $(2) $(3) >bin/bench-$(1).txt $(call document,$(1))

.PHONY: bench
bench: ## measure, and write the tables of docs/benchmarks.md (BENCH_STICKY=all adds an hour)
	@mkdir -p bin
	@echo "measuring placement …" && { $(gobench) -bench 'Scratch|One' -benchtime 300ms -count 3 ./orchestrator/placement && \
		$(gobench) -bench 'Lose|Grow' -benchtime 5x ./orchestrator/placement; } >bin/bench-placement.txt $(call document,placement)
	@$(call measure,simulator,-bench . -benchtime 1x -count 6,./sim)
	@$(call measure,sweep,-bench . -benchtime 200x,./sim/sweep)
	@$(call measure,timeline,-bench .,./sim/internal/timeline)
	@$(call measure,world,-bench .,./sim/internal/world)
	@$(call measure,churn,-bench .,./sim/internal/churn)
	@$(call measure,history,-bench .,./sim/internal/history)
	@$(call measure,invariant,-bench .,./sim/internal/invariant)
	@$(call measure,terminal,-bench .,./tui)
	@$(call measure,served,-bench . -benchtime 20x,./sim/serve ./sim/tape)
	@echo "measuring production …" && $(GO) test -run '^$$' -bench . -skip '^BenchmarkScale$$' -benchtime 1x -count 3 -timeout 3h ./sim/wire >bin/bench-production.txt $(call document,production)
	@if [ -n "$$DACORCH_KUBERNETES_BIN" ]; then echo "measuring scale …" && $(GO) test -run '^$$' -bench '^BenchmarkScale$$' -benchtime 1x -timeout 1h ./sim/wire >bin/bench-scale.txt $(call document,scale); fi

# With DACORCH_AIR_GAPPED=1 from images that "make images" has built here. The images
# hold a program for Linux, which on another system is built beside the usual one.
.PHONY: up
up: build ## bring up the rig: kind, ZooKeeper, Kafka, Mosquitto, PostgreSQL, the chart (needs Docker)
	@if [ "$$($(GO) env GOOS)" = linux ]; then set --; else \
		set -- --binary bin/dacorch-linux; \
		CGO_ENABLED=0 GOOS=linux $(GO) build -trimpath -ldflags='-s -w' -buildvcs=$(BUILDVCS) -o bin/dacorch-linux ./cmd/dacorch; \
	fi && echo "bin/dacorch rig up $$*" && bin/dacorch rig up "$$@"

.PHONY: e2e
e2e: build ## run the end-to-end suite, and scenarios, on the rig that is up
	DACORCH_E2E=required $(GO) test -count=1 -timeout 40m -p 1 -v ./e2e/rig ./e2e ./sim/kind

.PHONY: down
down: build ## remove the rig, and everything of it
	bin/dacorch rig down

.PHONY: images
images: build ## build every image of the rig where no image registry can be reached
	bin/dacorch rig images --air-gapped

.PHONY: verify
verify: check race scenarios ## everything that must hold before a change is handed in
