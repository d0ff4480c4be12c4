# Everything happens in .venv, which is made on first use: `make demo` and `make test` are all that anyone needs.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# the tests compute in several processes; more threads than cores make a shared CPU many times slower
THREADS := OMP_NUM_THREADS=1 MKL_NUM_THREADS=1
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

.PHONY: demo test test-gpu-kernels check docs results bench wheels clean format

demo: $(VENV)/.study
	$(BIN)/whichloss run demo

test: $(VENV)/.dev
	$(THREADS) $(BIN)/python -m pytest --numprocesses=auto

# the kernels for GPUs: on the GPU if there is one, else by Triton's interpreter
test-gpu-kernels: $(VENV)/.dev-gpu
	$(THREADS) $(BIN)/python -m pytest --numprocesses=auto tests/gpu_kernels

check: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/basedpyright

format: $(VENV)/.dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# the site, in site/: it opens from the disk, without a network
docs: $(VENV)/.docs
	NO_MKDOCS_2_WARNING=1 $(THREADS) $(BIN)/python -m mkdocs build

# what is computed for docs and kept: the page of losses, and tables of results from a store that holds their runs (or after computing what is missing)
results: $(VENV)/.study
	$(BIN)/whichloss losses --markdown docs/losses.md
	$(BIN)/whichloss run nuclei --data-root $(DATA)
	$(BIN)/whichloss report nuclei --data-root $(DATA) --markdown docs/results/nuclei.md

DATA ?= ../shared/data/dsb2018

# speed, for half an hour, on a machine that does nothing else; a part of it: make bench BENCH=--quick, or
# make bench BENCH='--pair Dice --shape 2 14 96 96 96'
bench: $(VENV)/.dev
	$(BIN)/python -m benchmarks.imports
	$(BIN)/python -m benchmarks.losses $(BENCH)

# what is released, in dist/: the source, and a wheel for each system, all compiled on this one
wheels: $(VENV)/.wheels
	$(BIN)/python -m build --no-isolation --sdist
	for system in $(SYSTEMS); do WHICHLOSS_WHEEL=$$system $(BIN)/python -m build --no-isolation --wheel || exit 1; done

SYSTEMS := linux-x86_64 linux-aarch64 darwin-aarch64 win32-x86_64
# installing compiles them; where nothing has changed it does not
KERNELS := $(wildcard src/whichloss/kernels/*.c src/whichloss/kernels/*.inc)

$(VENV)/bin/python:
	$(PYTHON) -c 'import sys; assert sys.version_info >= (3, 11), "whichloss needs Python 3.11 or newer: make PYTHON=python3.x"'
	$(PYTHON) -m venv $(VENV)

# torch first and alone: what needs it then finds the tested build instead of fetching another
$(VENV)/.study: pyproject.toml constraints.txt hatch_build.py $(KERNELS) | $(VENV)/bin/python
	$(PIP) torch
	$(PIP) --editable '.[study]'
	touch $@

$(VENV)/.docs: $(VENV)/.study
	$(PIP) --editable '.[docs]'
	touch $@

$(VENV)/.dev: $(VENV)/.study
	$(PIP) --editable '.[dev]'
	touch $@

$(VENV)/.dev-gpu: $(VENV)/.dev
	$(PIP) --editable '.[dev-gpu]'
	touch $@

$(VENV)/.wheels: $(VENV)/.study
	$(PIP) --editable '.[wheels]'
	touch $@

clean:
	rm -rf $(VENV) .pytest_cache .ruff_cache .hypothesis site whichloss-runs build dist src/whichloss/kernels/compiled
