# Everything runs from here, on a bare Linux with Python 3.11 or newer: each target sets up what it needs, once.
# `make help` lists the targets; ARGS="..." is handed to the program that a target starts.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

ARGS ?=
BIN := .venv/bin
PACKAGES := holdfast sync edge_agent cloud_hub
# Two workers fit the smallest machine this is developed on; more only help where there are cores for them.
WORKERS ?= 2

ifdef PYTHON
export PYTHON
endif

.PHONY: help venv venv-dev venv-proto run demo test verify proto simulate simulate-real bench diagrams format lock clean

help: ## list the targets
	@sed -nE 's/^([a-z-]+):[^#]*## (.*)/  make \1 @\2/p' Makefile | column -t -s @ 2>/dev/null \
	  || sed -nE 's/^([a-z-]+):[^#]*## (.*)/  make \1 - \2/p' Makefile

venv:
	@.ci/venv .venv requirements/run.txt --project

venv-dev: ## set up .venv with everything for development
	@.ci/venv .venv requirements/dev.txt --project

venv-proto:
	@.ci/venv .venv-proto requirements/proto.txt

run: venv ## a hub and two edges on this machine, live (ARGS="--seconds 20 --json" ends by itself)
	@exec $(BIN)/python -m holdfast.demo $(ARGS)

demo: venv ## a network cut, told in a minute: what goes on, what is refused, how it comes together
	@exec $(BIN)/python -m holdfast.demo.tell $(ARGS)

test: venv-dev ## every test; starts its own PostgreSQL (ARGS="-k name" selects)
	@exec $(BIN)/python -m pytest -n $(WORKERS) $(ARGS)

verify: venv-dev venv-proto ## format, lint, types, layers, wire contract, promises, units: everything but the tests
	@exec .ci/verify

proto: venv-proto ## generate holdfast/v1 from proto/
	@exec .ci/generate holdfast/v1

simulate: venv-dev ## run the simulator (SEEDS=500, SEED=7 for one with its trace, COMMITS=100000 for one long run)
	@exec $(BIN)/python -m tests.simulation $(if $(SEEDS),--seeds $(SEEDS) --jobs $(WORKERS)) \
	  $(if $(SEED),--seed $(SEED) $(if $(COMMITS),,--trace)) $(if $(COMMITS),--commits $(COMMITS)) $(ARGS)

simulate-real: venv-dev ## hubs killed and frozen under load, all of it real (ARGS="--seconds 300 --seed 7")
	@exec $(BIN)/python -m tests.cluster $(ARGS)

bench: venv-dev ## measure, beside a bare baseline
	@exec $(BIN)/python -m tests.benchmarks $(ARGS)

diagrams: venv-dev ## draw the diagrams of ARCHITECTURE.md from the tables they show
	@exec $(BIN)/python -m tests.diagrams

format: venv-dev ## rewrite the sources in the project's format
	@$(BIN)/ruff format
	@$(BIN)/ruff check --fix

lock: venv-dev ## pin the newest versions anew, with hashes, into requirements/
	@exec .ci/lock

clean: ## remove what was made here: environments, data of `make run`, caches
	@rm -rf .venv .venv-proto .run build dist .grimp_cache .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
