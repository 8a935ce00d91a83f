# Market Sentinel's commands. `make` lists them; the README gives the same for a person without make.

VENV := .venv
BIN := $(VENV)/bin
# The first Python that is new enough.
PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
	"$$p" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo "$$p" && break; done)
PIP := $(BIN)/python -m pip install --disable-pip-version-check --quiet

.DEFAULT_GOAL := help
.PHONY: help demo test test-fast setup ingest dry-run verify budget psql monitor api dashboard replay up up-demo down status logs sandbox archive lint types bench clean

help: ## list the commands
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sort | sed -E 's/:.*## /\t/' | \
		awk -F'\t' '{printf "  make %-10s %s\n", $$1, $$2}'

demo: $(VENV)/.runtime ## run the whole pipeline against the stand-in: no key, network or server
	@$(BIN)/python -m demo

setup: $(VENV)/.runtime ## install what the pipeline needs into .venv

test: $(VENV)/.dev ## run all tests
	$(BIN)/python -m pytest -n auto --dist loadgroup -m "slow or not slow"

test-fast: $(VENV)/.dev ## run the fast tests
	$(BIN)/python -m pytest -n auto --dist loadgroup

ingest: $(VENV)/.runtime ## collect the top coins from CoinGecko, once
	@$(BIN)/python ingest.py

dry-run: $(VENV)/.runtime ## show what ingest would write, and write nothing
	@$(BIN)/python ingest.py --mode dry-run

verify: $(VENV)/.runtime ## check what is stored
	@$(BIN)/python verify_db.py

budget: $(VENV)/.runtime ## show what the month has used of every free quota
	@$(BIN)/python budget_monitor.py

psql: $(VENV)/.runtime ## look at the embedded database
	@$(BIN)/python -m sentinel.storage.embedded

monitor: $(VENV)/.services ## keep the pipeline running, with alerts and forecasts
	@$(BIN)/python -m services.ingestion

api: $(VENV)/.services ## serve what is stored on http://127.0.0.1:8000
	@$(BIN)/python -m services.api

dashboard: $(VENV)/.services ## show it on http://127.0.0.1:8501
	@$(BIN)/python -m services.dashboard

up: $(VENV)/.services ## start all of the monitor and leave it running
	@$(BIN)/python -m services.stack up

up-demo: $(VENV)/.services ## the same against the stand-in, with a week of invented history
	@$(BIN)/python -m services.stack up --demo

down: $(VENV)/.services ## stop what up or up-demo started
	@$(BIN)/python -m services.stack down

status: $(VENV)/.services ## show whether all that up started is healthy
	@$(BIN)/python -m services.stack status

logs: $(VENV)/.services ## follow the logs of all processes
	@$(BIN)/python -m services.stack logs

replay: $(VENV)/.services ## show the alerts that the stored prices would have raised
	@$(BIN)/python -m services.ingestion.replay

sandbox: $(VENV)/.services ## list the strategies that sandbox.py can try
	@$(BIN)/python sandbox.py strategies

archive: $(VENV)/.services ## show what the archive (ARCHIVE_URL) holds
	@$(BIN)/python archive.py status

lint: $(VENV)/.dev ## check style, security, workflows, containers
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/bandit --quiet --severity-level medium --recursive *.py sentinel pipeline services demo
	$(BIN)/zizmor --offline --no-progress --quiet .github
	$(BIN)/check-jsonschema --builtin-schema vendor.compose-spec docker-compose.yml
	$(BIN)/python -m pip check

types: $(VENV)/.dev ## check types
	$(BIN)/mypy

bench: $(VENV)/.bench ## measure speed and size against their floors (minutes)
	$(BIN)/python -m benchmarks

clean: ## remove .venv and caches; the data in .sentinel stays
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .hypothesis

$(VENV)/bin/python:
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed: install it, or name it with make PYTHON=..." >&2; exit 2; }
	@"$(PYTHON)" -m venv $(VENV) || { rm -rf $(VENV); \
		echo "The venv module is missing: on Debian and Ubuntu, apt-get install python3-venv" >&2; exit 2; }

$(VENV)/.runtime: requirements.txt requirements-embedded.txt | $(VENV)/bin/python
	@echo "installing into $(VENV) ..." >&2
	@$(PIP) -r requirements.txt
	@$(PIP) -r requirements-embedded.txt
	@touch $@

$(VENV)/.services: requirements-archive.txt requirements-services.txt $(VENV)/.runtime
	@echo "installing the monitor into $(VENV) ..." >&2
	@$(PIP) -r requirements-services.txt
	@touch $@

$(VENV)/.dev: requirements-dev.txt requirements-object-stores.txt $(VENV)/.services
	@$(PIP) -r requirements-dev.txt
	@touch $@

$(VENV)/.bench: requirements-bench.txt $(VENV)/.services
	@$(PIP) -r requirements-bench.txt
	@touch $@
