# `make demo` restores a photograph, `make test` runs the tests: both make their own virtual environment in .venv.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test test-slow clean

demo: .venv/demo
	$(BIN)/python -m recipes.demo

test: .venv/test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/python -m pytest

test-slow: .venv/test
	$(BIN)/python -m pytest -m slow

.venv/demo: setup.cfg pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --editable ".[cpu]"
	touch $@

.venv/test: .venv/demo
	$(BIN)/pip install --quiet --editable ".[cpu,train,dev]"
	touch $@

clean:
	rm -rf .venv build dist demo *.egg-info
