# `make demo` and `make test` work as the first command on a machine with Python 3.10+ and pip.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: demo test slow check lint docs clean

# the whole way: names -> hierarchy -> nested network -> expert that is cheaper than the plain network -> table
DEMO := build/demo
BACKBONE := mobilenetv4_conv_small_050
RECIPE := --hierarchy $(DEMO)/tree.json --val-split test --img-size 32 --epochs 12 --batch-size 64 --opt adamw \
  --lr 3e-3 --weight-decay 2e-5 --warmup-epochs 1 --scale 0.7 1 --hflip 0 --color-jitter 0 --channels-last --workers 0 --eval-every 4

demo: $(READY)
	rm -rf $(DEMO) && mkdir -p $(DEMO)
	$(BIN)/python benchmarks/digits.py $(DEMO)/digits
	$(BIN)/python -m hierarchy.generate $(DEMO)/digits/names.csv --superclasses 2 --groups 4 --out $(DEMO)/tree.json
	$(BIN)/hierarchy show $(DEMO)/tree.json
	$(BIN)/hierarchy report $(DEMO)/tree.json --out $(DEMO)/tree.html
	$(BIN)/timm-nhl train $(DEMO)/digits --model $(BACKBONE)_nhl --preset edge --out $(DEMO)/nested $(RECIPE)
	$(BIN)/timm-nhl train $(DEMO)/digits --model $(BACKBONE) --out $(DEMO)/flat $(RECIPE)
	$(BIN)/timm-nhl expert $(DEMO)/nested/last --classes three --classes five --classes eight --out $(DEMO)/expert
	$(BIN)/timm-nhl evaluate $(DEMO)/nested/last $(DEMO)/digits --workers 0 --classes three --classes five --classes eight --flat $(DEMO)/flat/last

test: $(READY)
	$(BIN)/python -m pytest -n auto --dist loadgroup

slow: $(READY)
	$(BIN)/python -m pytest -n auto --dist loadgroup -m "slow and not network"

lint: $(READY)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

docs: $(READY)
	$(BIN)/mkdocs build --strict

check: lint docs test slow

$(READY): pyproject.toml tests/constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python --constraint tests/constraints.txt --editable '.[dev]' \
	  || $(BIN)/python -m pip install --constraint tests/constraints.txt --editable '.[dev]'
	$(BIN)/hierarchy wordnet install
	touch $@

clean:
	rm -rf $(VENV) build dist
