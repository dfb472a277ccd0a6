# `make demo` and `make test` work as the first command on a machine with Python 3.10+ and pip.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: demo test check lint clean

demo: $(READY)
	$(BIN)/python -m hierarchy.generate imagenet-1k --out build/in1k.json
	$(BIN)/hierarchy show build/in1k.json --depth 2
	$(BIN)/hierarchy report build/in1k.json --out build/in1k.html

test: $(READY)
	$(BIN)/python -m pytest -n auto

lint: $(READY)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

check: lint test

$(READY): pyproject.toml tests/constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip install --quiet --python $(BIN)/python --constraint tests/constraints.txt --editable '.[dev]' \
	  || $(BIN)/python -m pip install --constraint tests/constraints.txt --editable '.[dev]'
	$(BIN)/hierarchy wordnet install
	touch $@

clean:
	rm -rf $(VENV) build dist
