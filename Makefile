# make plan : install dmoa into .venv and plan the bundled scenario
# make test : install what the tests need into .venv and run them all
# make lint : style, types and import contracts

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

.PHONY: plan test lint benchmarks clean

plan: $(VENV)/.core
	$(BIN)/dmoa plan --out plan

test: $(VENV)/.test
	$(BIN)/python -m pytest --numprocesses logical --dist loadfile

lint: $(VENV)/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

benchmarks: $(VENV)/.benchmarks
	$(BIN)/python -m pytest tests/benchmarks --override-ini addopts= --import-mode=importlib -s

clean:
	rm -rf $(VENV) plan

$(BIN)/python:
	$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); echo "No virtual environment could be made: on Debian, apt install python3-venv"; exit 1; }

# A stamp a level of installation: an unchanged checkout installs nothing twice.
$(VENV)/.core: $(BIN)/python pyproject.toml constraints.txt
	$(PIP) --editable .
	touch $@

$(VENV)/.test: $(BIN)/python pyproject.toml constraints.txt
	$(PIP) --editable '.[test]'
	touch $@ $(VENV)/.core

$(VENV)/.benchmarks: $(VENV)/.test
	$(PIP) --editable '.[benchmarks]'
	touch $@
