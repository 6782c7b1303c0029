# Everything sets itself up: Python 3.11 and make are all that must be there.
# Targets: run test check bench fmt lock generated clean. `make lock` is the only one that resolves versions.
PYTHON ?= python3.11
ifeq (, $(shell command -v $(PYTHON) 2>/dev/null))
PYTHON := python3
endif
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
CLIENTS := .venv-clients
BENCH := .venv-bench
COMPILE := $(BIN)/pip-compile --quiet --strip-extras --allow-unsafe --generate-hashes --no-emit-index-url \
	--no-emit-find-links --no-emit-trusted-host --no-emit-options --no-header

.PHONY: run ready test check bench fmt lock clean components generated
.DEFAULT_GOAL := run

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.run: requirements/run.txt pyproject.toml | $(BIN)/python
	$(PIP) install --quiet --require-hashes -r requirements/run.txt
	$(PIP) install --quiet --no-deps --no-build-isolation -e .
	touch $@

$(VENV)/.dev: requirements/dev.txt $(VENV)/.run
	$(PIP) install --quiet --require-hashes -r requirements/dev.txt
	touch $@

# The venues' official clients pin old libraries: they live apart and only meet us on a socket.
$(CLIENTS)/.done: requirements/clients.txt | $(BIN)/python
	$(PYTHON) -m venv $(CLIENTS)
	$(CLIENTS)/bin/python -m pip --disable-pip-version-check install --quiet --require-hashes -r requirements/clients.txt
	touch $@

$(BENCH)/.done: requirements/bench.txt $(VENV)/.run
	$(PYTHON) -m venv $(BENCH)
	$(BENCH)/bin/python -m pip --disable-pip-version-check install --quiet --require-hashes -r requirements/bench.txt
	$(BENCH)/bin/python -m pip --disable-pip-version-check install --quiet --no-deps --no-build-isolation -e .
	touch $@

run: $(VENV)/.run
	$(BIN)/riskd demo

# Real Alertmanager, Prometheus and a browser for the tests; where they cannot be installed the tests say so.
components:
	@sh tests/install-components

# Three installations that have nothing to do with each other, which is why they go side by side.
ready: $(VENV)/.dev $(CLIENTS)/.done components

test:
	@$(MAKE) --no-print-directory -j3 ready
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

check: $(VENV)/.dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -q tests/test_architecture.py

fmt: $(VENV)/.dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(BENCH)/.done
	$(BENCH)/bin/python -m bench

lock: $(BIN)/python
	$(PIP) install --quiet pip-tools
	$(COMPILE) --extra build -o requirements/run.txt pyproject.toml
	$(COMPILE) --extra build --extra dev -c requirements/run.txt -o requirements/dev.txt pyproject.toml
	$(COMPILE) --extra build --extra bench -o requirements/bench.txt pyproject.toml
	$(COMPILE) -o requirements/clients.txt requirements/clients.in

# The rule table of the README and the Grafana dashboard are generated; a test compares them.
generated: $(VENV)/.run
	$(BIN)/python -m monitor.cli.generated

clean:
	rm -rf $(VENV) $(CLIENTS) $(BENCH) build dist *.egg-info
