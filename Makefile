# How srcube is installed, shown, tested and locked. `make help` lists what there is.

PYTHON ?= $(shell for p in python3.11 python3 python3.12 python3.13; do \
	  $$p -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null \
	  && echo $$p && break; done)
# Another package index to take torch from, such as PyTorch's own for CPU or one CUDA version.
TORCH_INDEX ?=
# Passed on to `srcube demo`, for example: make demo ARGS="--port 9000 --no-browser"; to
# `srcube bench all` likewise: make bench ARGS="--only tiles,ingest --repeat 3"
ARGS ?=
SETUP = $(or $(PYTHON),$(error need Python 3.11 to 3.13 on the PATH, or make PYTHON=/path/to/python)) \
	  tests/tools/environment.py --torch-index "$(TORCH_INDEX)"

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help setup setup-dev demo test gate format bench bench-page figures picture pictures \
	  screenshots diagrams docs lock clean

help:  ## list the targets
	@awk -F':.*## ' '/^[a-z-]+:.*## / { printf "make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup:  ## create .venv and install srcube with pinned versions
	@$(SETUP)

demo: setup  ## build the demo catalog if it is not there, and serve it
	@.venv/bin/srcube demo $(ARGS)

setup-dev:  ## like setup, with the tools that the tests need
	@$(SETUP) --dev
	@$(PYTHON) tests/tools/debian.py

test: setup-dev gate  ## set up, then run the whole gate

gate:  ## run every check and test (after make setup-dev)
	@PYTHONPATH= .venv/bin/python -m tests.tools.gate

format: setup-dev  ## let ruff rewrite the code in the house style
	@.venv/bin/ruff check --fix . ; .venv/bin/ruff format .

bench: setup-dev  ## run every benchmark, with the peers they are measured beside
	@.venv/bin/pip install --quiet "odc-stac>=0.5.3" "titiler.xarray>=2.4,<2.5"
	@.venv/bin/srcube bench all $(ARGS)

figures: setup-dev  ## write the README's tables anew from the figures that are committed
	@PYTHONPATH= .venv/bin/python -m tests.tools.readme_tables

bench-page: setup-dev  ## measure openings and frames of the page in Chromium, on a quiet machine
	@PYTHONPATH= .venv/bin/python -m tests.tools.page_bench

picture: setup-dev  ## take the README's picture from the running page
	@PYTHONPATH= .venv/bin/python -m tests.tools.picture

pictures: setup-dev  ## draw the README's pictures of experiments anew
	@PYTHONPATH= .venv/bin/python -m tests.tools.pictures

screenshots: setup-dev  ## take pictures of the page's main states at three sizes, into screenshots/
	@PYTHONPATH= .venv/bin/python -m tests.tools.screenshots

diagrams:  ## draw the README's two diagrams anew
	@PYTHONPATH= $(PYTHON) -m tests.tools.diagrams

docs: setup-dev  ## build the documentation into build/docs, every warning an error
	@PYTHONPATH= .venv/bin/python -m tests.tools.docs

lock:  ## resolve pyproject.toml anew into the lock files (needs Python 3.11)
	@$(PYTHON) tests/tools/lock.py

clean:  ## remove the environments, builds and caches, nothing else
	rm -rf .venv .venv-wheel build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis \
	  .import_linter_cache *.egg-info
	find datacube sr_engine server webapp tests -name __pycache__ -type d -prune -exec rm -rf {} +
