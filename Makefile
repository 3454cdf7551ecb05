# PYTHON makes .venv where it is missing; everything else runs inside .venv. pip's own settings are honoured.
PYTHON ?= python3

SHELL := /bin/sh
VENV := .venv
PY := $(VENV)/bin/python
PIP := $(PY) -m pip install -c constraints.txt
INSTALLED := $(VENV)/.installed
INSTALLED_DEV := $(VENV)/.installed-dev
INSTALLED_WEB := $(VENV)/.installed-web
HOST ?= 127.0.0.1
PORT ?= 7860

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL:
.PHONY: help install demo page dev test check format clean

help:
	@echo "make demo     install, train on the embedded digits, ask for sixes, write runs/demo/report.html"
	@echo "make page     install, and serve the runs of the zoo at http://127.0.0.1:7860 (make page PORT=8000)"
	@echo "make test     install the developer tools; check formatting, lint and types; run all tests"
	@echo "make install  make .venv where it is missing and install condvae in it"
	@echo "make dev      the same, with the developer tools"
	@echo "make check    formatting, lint and types only"
	@echo "make format   put the code into the house format"
	@echo "make clean    remove caches and build products (.venv and runs/ stay)"
	@echo "PYTHON=python3.12 make demo   chooses the interpreter of a new .venv"

$(PY):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	  echo "condvae needs Python 3.11 or newer, and '$(PYTHON)' is" \
	    "$$($(PYTHON) --version 2>/dev/null || echo 'no Python at all'):" \
	    "name another one, as in 'make demo PYTHON=python3.12'." >&2; exit 1; }
	@echo "making $(VENV) with $$($(PYTHON) --version)"
	@$(PYTHON) -m venv --clear $(VENV) || { rm -rf $(VENV); \
	  echo "$(PYTHON) could not make a virtual environment: install its venv module" \
	    "(on Debian and Ubuntu the package python3-venv)." >&2; exit 1; }

# The stamps stand inside .venv, so that removing it removes them too.
$(INSTALLED): pyproject.toml constraints.txt | $(PY)
	$(PIP) -e .
	@touch $@

$(INSTALLED_DEV): pyproject.toml constraints.txt | $(PY)
	$(PIP) -e '.[dev]'
	@touch $(INSTALLED) $(INSTALLED_WEB) $@

$(INSTALLED_WEB): pyproject.toml constraints.txt | $(PY)
	$(PIP) -e '.[web]'
	@touch $(INSTALLED) $@

install: $(INSTALLED)

dev: $(INSTALLED_DEV)

demo: $(INSTALLED)
	$(VENV)/bin/condvae train digits --out runs/demo --overwrite
	$(VENV)/bin/condvae generate runs/demo digit=6 -n 64 -o runs/demo/six.png
	@echo "The sixes: runs/demo/six.png"
	@echo "The report: runs/demo/report.html"

page: $(INSTALLED_WEB)
	$(VENV)/bin/condvae serve zoo/mnist-cvae zoo/mnist-holes zoo/mnist-draw zoo/faces-drawn zoo/fashion-cvae \
	  zoo/mnist-ladder zoo/mnist-gan zoo/mnist-100-labels --host $(HOST) --port $(PORT)

check: $(INSTALLED_DEV)
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/ruff check .
	$(VENV)/bin/pyright

# Two workers of one thread each: more threads than cores make small tensors slower, not faster. The tests of the page
# are one group, for one server and one browser.
test: check
	OMP_NUM_THREADS=1 $(VENV)/bin/pytest -n 2 --dist loadgroup

format: $(INSTALLED_DEV)
	$(VENV)/bin/ruff format .
	$(VENV)/bin/ruff check --fix .

clean:
	rm -rf build dist .pytest_cache .ruff_cache .hypothesis
	find src tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +
