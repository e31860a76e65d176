# phenoassets: `make help` lists the commands.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
HOME_DIR ?= data
# Builds and binds all definitions, as the server does, with the settings of a home that is not there.
LOAD := import dagster as dg; from phenoassets.definitions import build_definitions; from phenoassets.store.home import Home; \
	dg.Definitions.validate_loadable(build_definitions(home=Home("no-such-home")))
SPEED := embedding_throughput imaging sphering_speed dtw_kmeans trajectories_at_scale sql_at_scale known_files
.DEFAULT_GOAL := help

.PHONY: help install demo ui test lint format bench mutants fuzz campaign clean

help:  ## list the commands
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## (.*)/  make \1\t\2/' | expand -t 16

$(VENV)/.run: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "phenoassets needs Python 3.11 or newer"; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt torch
	$(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt -e .
	touch $@

$(VENV)/.test: $(VENV)/.run
	$(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt -e '.[test]'
	touch $@

install: $(VENV)/.run  ## make .venv with what a run needs

demo: $(VENV)/.run  ## simulate a screen into ./demo, run everything, compare with the truth
	$(BIN)/phenoassets demo --home demo

ui: $(VENV)/.run  ## serve the UI of ./data on 127.0.0.1 with the sensors running (HOME_DIR=demo for the demo)
	@$(BIN)/phenoassets ui --home $(HOME_DIR)

# One thread a worker: two workers of two threads each wait for one another, which makes torch's tests ten times slower.
test: $(VENV)/.test  ## run the tests
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto

lint: $(VENV)/.test  ## check style, types and that the code location loads
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -W error -c '$(LOAD)'

format: $(VENV)/.test  ## format the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(VENV)/.test  ## measure what takes how long; benchmarks/README.md holds these figures and how the others are made
	for name in $(SPEED); do echo "== $$name"; $(BIN)/python benchmarks/$$name.py || exit 1; done

mutants: $(VENV)/.test  ## put single faults into the science and print those that no test notices
	$(BIN)/python benchmarks/mutants.py

fuzz: $(VENV)/.test  ## mutate sheets, tables and names for ten minutes; benchmarks/fuzz.txt has the last figures
	$(BIN)/python tests/fuzz.py --seconds 600

campaign: $(VENV)/.test  ## run twelve bad plates beside two good ones in one home, and say what status names of each
	$(BIN)/python benchmarks/campaign.py

clean:  ## remove .venv and caches; homes stay
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache *.egg-info
