# The commands of Market Sentinel. `make` without a target lists them.
# docs/commands.md has the same commands for systems without make.

VENV := .venv
BIN := $(VENV)/bin
# The first supported Python on this machine: 3.11 to 3.15.
PYTHON ?= $(shell for p in python3 python3.15 python3.14 python3.13 python3.12 python3.11; do \
	"$$p" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 16))' 2>/dev/null && \
	echo "$$p" && break; done)
INSTALL := $(BIN)/python -m pip install --disable-pip-version-check --quiet --require-hashes
# One solution for all platforms and for Python 3.11 and newer, with the hash of every release file.
COMPILE = $(BIN)/uv pip compile --quiet --universal --generate-hashes --python-version 3.11 $(UPGRADE)
PYTEST := pytest -n auto
# Some systems set it. Then each process of the tests compiles all modules.
unexport PYTHONDONTWRITEBYTECODE
SEED := 7
SEEDS := 1
DAYS := 30
COMPILED := alerts archive bench containers dev embedded object-stores services site uv

.DEFAULT_GOAL := help
.PHONY: help demo test test-fast test-soak test-containers setup ingest dry-run doctor verify budget site psql monitor api dashboard \
	replay up up-demo down status logs sandbox archive lint types simulate bench requirements clean

help: ## list the commands
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sort | sed -E 's/:.*## /\t/' | \
		awk -F'\t' '{printf "  make %-15s %s\n", $$1, $$2}'

demo: $(VENV)/.runtime ## try the whole pipeline on invented prices, without key, network or server
	@$(BIN)/python -m demo

setup: $(VENV)/.runtime ## install the pipeline into .venv

test: $(VENV)/.dev ## run all tests (COVERAGE=1: and compare their coverage with its floor)
	$(if $(COVERAGE),@$(BIN)/coverage erase)
	$(BIN)/python $(if $(COVERAGE),-m coverage run) -m $(PYTEST) -m "not containers"
	$(if $(COVERAGE),@$(BIN)/coverage combine --quiet && $(BIN)/coverage report)

test-fast: $(VENV)/.dev ## run the fast tests only
	$(BIN)/python -m $(PYTEST)

test-soak: $(VENV)/.dev ## repeat the tests that depend on chance for about an hour
	$(BIN)/python -m $(PYTEST) -m "soak or hypothesis" --hypothesis-profile nightly --repeat-soak 20 --timeout 3600

test-containers: $(VENV)/.dev ## build the image and test the monitor in containers (needs Docker)
	$(BIN)/python -m pytest -x -m containers -rsP --durations=10 tests/containers

ingest: $(VENV)/.runtime ## fetch the top coins from CoinGecko once and store their prices
	@$(BIN)/python ingest.py

dry-run: $(VENV)/.runtime ## fetch and validate prices without storing anything
	@$(BIN)/python ingest.py --mode dry-run

doctor: $(VENV)/.runtime ## check all that this deployment needs, and say what to do
	@$(BIN)/python -m pipeline.doctor

verify: $(VENV)/.runtime ## check the stored data
	@$(BIN)/python verify_db.py

budget: $(VENV)/.runtime ## show this month's use of the metered free quotas
	@$(BIN)/python budget_monitor.py

site: $(VENV)/.runtime ## write the public page with its prices into the folder site
	@$(BIN)/python -m pipeline.site --out site --with-market

psql: $(VENV)/.runtime ## open the embedded database in psql
	@$(BIN)/python -m sentinel.storage.embedded

monitor: $(VENV)/.services ## run the pipeline continuously, with alerts and forecasts
	@$(BIN)/python -m services.ingestion

api: $(VENV)/.services ## start the API on http://127.0.0.1:8000
	@$(BIN)/python -m services.api

dashboard: $(VENV)/.services ## start the dashboard on http://127.0.0.1:8501
	@$(BIN)/python -m services.dashboard

up: $(VENV)/.services ## start the whole monitor in the background
	@$(BIN)/python -m services.stack up

up-demo: $(VENV)/.services ## start the whole monitor with a week of invented prices
	@$(BIN)/python -m services.stack up --demo

down: $(VENV)/.services ## stop the processes that up or up-demo started
	@$(BIN)/python -m services.stack down

status: $(VENV)/.services ## show the health of each process
	@$(BIN)/python -m services.stack status

logs: $(VENV)/.services ## follow the logs of all processes
	@$(BIN)/python -m services.stack logs

replay: $(VENV)/.services ## list the alerts that the stored prices would have raised
	@$(BIN)/python -m services.ingestion.replay

sandbox: $(VENV)/.services ## list the backtesting strategies
	@$(BIN)/python sandbox.py strategies

archive: $(VENV)/.services ## show the contents of the archive (ARCHIVE_URL)
	@$(BIN)/python archive.py status

lint: $(VENV)/.dev ## check style, security, workflows and the Compose file
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/bandit --quiet --severity-level medium --recursive *.py sentinel pipeline services demo benchmarks simulation
	$(BIN)/zizmor --offline --no-progress --quiet .github
	$(BIN)/check-jsonschema --builtin-schema vendor.compose-spec docker-compose.yml
	$(BIN)/python -m pip check

types: $(VENV)/.dev ## check type hints
	$(BIN)/mypy

simulate: $(VENV)/.dev ## simulate DAYS=30 days of runs and faults from SEED=7 (SEEDS=10: and the next nine seeds)
	$(BIN)/python -m simulation --seed $(SEED) --seeds $(SEEDS) --days $(DAYS)

bench: $(VENV)/.bench ## run the benchmarks and compare them with their limits (takes minutes)
	$(BIN)/python -m benchmarks

requirements: $(VENV)/.uv ## pin all dependencies with hashes (newest versions: UPGRADE=--upgrade)
	$(COMPILE) --output-file requirements.txt requirements/runtime.in
	@set -ex; for name in $(COMPILED); do \
		$(COMPILE) --output-file requirements/$$name.txt requirements/$$name.in; done

clean: ## remove .venv and caches, but keep the data in .sentinel
	rm -rf $(VENV) .coverage* .mypy_cache .pytest_cache .ruff_cache .hypothesis

$(VENV)/bin/python:
	@test -n "$(PYTHON)" || { echo "Python 3.11 to 3.15 was not found. Install it, or name it: make PYTHON=/path/to/python3.13" >&2; exit 2; }
	@"$(PYTHON)" -m venv $(VENV) || { rm -rf $(VENV); \
		echo "The venv module is missing. On Debian and Ubuntu: apt-get install python3-venv" >&2; exit 2; }

$(VENV)/.runtime: requirements/site.txt requirements/embedded.txt | $(VENV)/bin/python
	@echo "Installing the pipeline into $(VENV) ..." >&2
	@$(INSTALL) -r requirements/site.txt -r requirements/embedded.txt
	@touch $@

# Each of the following files includes all of requirements.txt.
$(VENV)/.services: requirements/services.txt $(VENV)/.runtime
	@echo "Installing the monitor into $(VENV) ..." >&2
	@$(INSTALL) -r requirements/services.txt
	@touch $@

$(VENV)/.dev: requirements/dev.txt $(VENV)/.services
	@echo "Installing the development tools into $(VENV) ..." >&2
	@$(INSTALL) -r requirements/dev.txt
	@touch $@

$(VENV)/.bench: requirements/bench.txt $(VENV)/.services
	@echo "Installing the benchmarks' dependencies into $(VENV) ..." >&2
	@$(INSTALL) -r requirements/bench.txt
	@touch $@

$(VENV)/.uv: requirements/uv.txt | $(VENV)/bin/python
	@$(INSTALL) -r requirements/uv.txt
	@touch $@
