# Everything that a person types here. Each target installs what it needs; the second time that takes no time.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help install models postgres research everything run test mutants faults chaos explore parity lint bench soak wheel pythons combinations audit sbom lock clean

# One more than the two cores that this is measured on: a test that waits for a daemon leaves its core to another.
JOBS ?= 3
SEEDS ?= 1000
VENV := .venv
BIN := $(VENV)/bin
PYTHONS := python3.11 python3.12 python3.13 python3.14 python3 python
ENOUGH := import sys; sys.exit(sys.version_info < (3, 11))
TORCH ?= cpu
$(if $(filter-out cpu cuda,$(TORCH)),$(error TORCH=$(TORCH) is no build of torch; right: TORCH=cpu or TORCH=cuda))

# A stamp for each set of packages: a section of the lock, so an unchanged tree has nothing to do.
HAS := $(VENV)/.has-
MODELS := $(HAS)models$(if $(filter cuda,$(TORCH)),-cuda)
HAD := $(wildcard $(HAS)*)
EVERYTHING := $(MODELS) $(HAS)postgres $(HAS)research $(HAS)dev

define INSTALL
	@python=; for name in $(PYTHONS); do \
	  if "$$name" -c '$(ENOUGH)' >/dev/null 2>&1; then python=$$name; break; fi; \
	done; \
	if [ -z "$$python" ]; then \
	  echo "make: this needs Python 3.11 or newer; none of these is: $(PYTHONS)" >&2; exit 1; \
	fi; \
	exec "$$python" .ci/install.py
endef

help:  ## this list
	@sed -n 's/^\([a-z]*\):[^#]*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 18

# What was installed once is renewed with the base, or its parts would not fit each other after a `git pull`.
install: $(HAS)base $(HAD)  ## the base, which is all that `make run` needs, into .venv

models: $(MODELS)  ## torch and what loads weights, for FORECASTER=kronos and toto (TORCH=cuda: for a GPU)

postgres: $(HAS)postgres  ## the driver for DATABASE_URL=postgresql://...

research: $(HAS)research  ## matplotlib, for the pictures of `trader evaluate` and `trader finetune`

everything: $(EVERYTHING)  ## all of these, and what the tests and the linters need

$(HAS)base: pyproject.toml constraints.txt $(BIN)/python
	$(INSTALL) base

# What a set shares with the base is listed under the base alone.
$(HAS)%: constraints.txt | $(HAS)base
	$(INSTALL) $*

# Missing at first, and where the interpreter has gone that it points to. Not for make to delete at a Ctrl-C.
.PRECIOUS: $(BIN)/python
$(BIN)/python:
	$(INSTALL)

run: install  ## the daemon on the simulated exchange, with a live view (ARGS="--cycles 10")
	@$(BIN)/trader run --mode sim $(ARGS)

test: $(EVERYTHING)  ## the whole suite but the long runs (soak, parity)
	$(BIN)/python -m pytest -q -m "not slow and not parity" -n $(JOBS) --dist loadfile --no-loadscope-reorder $(ARGS)

mutants: $(EVERYTHING)  ## the guards taken away one at a time: a test must turn red each time (ARGS="--only plan")
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.mutants -n $(JOBS) $(ARGS)

faults: $(EVERYTHING)  ## what may go wrong, row by row, on the daemon as a process: a table (ARGS="--row 41")
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.faults -n $(JOBS) $(ARGS)

explore: $(EVERYTHING)  ## the property tests on examples that nobody has drawn before
	$(BIN)/python -m pytest -q -m "hypothesis and not slow and not parity" --hypothesis-profile=explore -n $(JOBS) $(ARGS)

parity: $(EVERYTHING)  ## the models at their published sizes, and the long loops of forecasts
	$(BIN)/python -m pytest -q -m parity --timeout=3600 $(ARGS)

lint: $(EVERYTHING)  ## ruff and mypy --strict
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/mypy --strict .ci/*.py

bench: $(EVERYTHING)  ## what a cycle costs, outside inference
	$(BIN)/trader bench cycle $(ARGS)

chaos: $(EVERYTHING)  ## thousands of market days in one process, drawn from seeds (SEEDS=1000, ARGS="--first 5000")
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.chaos --seeds $(SEEDS) --jobs $(JOBS) $(ARGS)

soak: $(EVERYTHING)  ## the long runs: an hour or so
	$(BIN)/python -m pytest -q -m slow --timeout=3600 $(ARGS)

wheel: $(HAS)base $(HAS)dev  ## the package, into dist/
	$(BIN)/python -m build --no-isolation $(ARGS)

pythons: $(EVERYTHING)  ## the quick part of the suite on every Python that this machine has
	$(BIN)/python .ci/pythons.py -n $(JOBS) $(ARGS)

combinations: $(EVERYTHING)  ## the whole suite where it must not matter: busy, on one core, shuffled, each file alone
	$(BIN)/python .ci/combinations.py $(ARGS)

audit: $(HAS)base $(HAS)audit  ## known holes in what the lock names, by pip-audit; needs a network
	$(BIN)/python .ci/audit.py $(ARGS)

sbom: $(HAS)base $(HAS)sbom  ## what .venv is made of (CycloneDX) and its licences, into dist/; fails on one not allowed
	$(BIN)/python .ci/sbom.py $(ARGS)

lock: $(HAS)base $(HAS)lock  ## constraints.txt anew from pyproject.toml (ARGS=--upgrade)
	$(BIN)/python .ci/lock.py $(ARGS)

clean:  ## what was built here, .venv included; never the state
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find trader forecasters settings tests -name __pycache__ -type d -prune -exec rm -rf {} +
