# Everything that a person types here. All of it stands on `make install`; the second time that takes no time.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help install run test parity lint bench soak clean

JOBS ?= 2
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
PYTHONS := python3.11 python3.12 python3.13 python3.14 python3 python
INSTALL_LOG := $(VENV)/install.log
ENOUGH := import sys; sys.exit(sys.version_info < (3, 11))

# Of what pip says: on a terminal the step that it is at, on one line; elsewhere only what takes long.
define SHORTLY
import re, sys
live = sys.stdout.isatty()
for line in map(str.strip, sys.stdin):
    if live and re.match("Collecting|Downloading|Building|Preparing|Installing", line):
        print(f"\r\033[K  {line:.70}", end="", flush=True)
    elif not live and re.match(r"Downloading .*\d\d\.\d MB|Installing collected", line):
        print(f"  {line:.70}", flush=True)
print("\r\033[K" if live else "", end="")
endef
export SHORTLY

help:  ## this list
	@sed -n 's/^\([a-z]*\):[^#]*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 18

install: $(STAMP)  ## .venv with everything in it, from constraints.txt

# The stamp is younger than what it was made from, so an unchanged tree has nothing to do.
$(STAMP): pyproject.toml constraints.txt
	@python=; for name in $(PYTHONS); do \
	  if "$$name" -c '$(ENOUGH)' >/dev/null 2>&1; then python=$$name; break; fi; \
	done; \
	if [ -z "$$python" ]; then \
	  echo "make: this needs Python 3.11 or newer; none of these is: $(PYTHONS)" >&2; exit 1; \
	fi; \
	if ! $(BIN)/python -c '$(ENOUGH)' >/dev/null 2>&1 || ! $(BIN)/python -m pip --version >/dev/null 2>&1; then \
	  echo "make: creating $(VENV) with $$($$python --version)"; \
	  if ! $$python -m venv --clear $(VENV); then \
	    echo "make: $$python cannot make a virtual environment (on Debian: apt-get install python3-venv)" >&2; exit 1; \
	  fi; \
	fi
	@echo "make: installing from constraints.txt (a minute or two, the first time only)"
	@if ! $(BIN)/python -m pip install --disable-pip-version-check --progress-bar off -c constraints.txt \
	    -e '.[dev,models,postgres,research]' 2>&1 | tee $(INSTALL_LOG) | $(BIN)/python -c "$$SHORTLY"; then \
	  echo "make: the installation failed; the last lines of $(INSTALL_LOG), which has all of it:" >&2; \
	  grep -v '^WARNING: Location' $(INSTALL_LOG) | tail -15 >&2; \
	  exit 1; \
	fi; \
	echo "make: installed; what pip said is in $(INSTALL_LOG)"
	@touch $(STAMP)

run: install  ## the daemon on the simulated exchange, with a live view (ARGS="--cycles 10")
	@$(BIN)/trader run --mode sim $(ARGS)

test: install  ## the whole suite but the long runs (soak, parity)
	$(BIN)/python -m pytest -q -m "not slow and not parity" -n $(JOBS) --dist loadfile $(ARGS)

parity: install  ## the models at their published sizes, and the long loops of forecasts
	$(BIN)/python -m pytest -q -m parity --timeout=3600 $(ARGS)

lint: install  ## ruff and mypy --strict
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: install  ## what a cycle costs, outside inference
	$(BIN)/trader bench cycle $(ARGS)

soak: install  ## the long runs: an hour or so
	$(BIN)/python -m pytest -q -m slow --timeout=3600 $(ARGS)

clean:  ## what was built here, .venv included; never the state
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find trader forecasters settings tests -name __pycache__ -type d -prune -exec rm -rf {} +
