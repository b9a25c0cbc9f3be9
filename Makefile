# `make demo` restores a photograph, `make test` runs the tests: both make their own virtual environment in .venv.
# `make release KERAS_REDNET_DATA=DATASETS` builds the artefacts of all shipped networks in dist/ and scores them,
# into recipes/results.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test test-slow test-scale benchmark release clean

demo: .venv/demo
	$(BIN)/python -m recipes.demo

test: .venv/test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/python -m pytest -n auto --maxprocesses 4 --dist worksteal

test-slow: .venv/test
	$(BIN)/python -m pytest -m slow

test-scale: .venv/scale
	$(BIN)/python -m pytest -m slow tests/slow/test_batch.py tests/slow/test_distribute.py

benchmark: .venv/scale
	$(BIN)/python tests/benchmark/restore.py --out runs/restore
	$(BIN)/python tests/benchmark/inference.py --out runs/inference
	$(BIN)/python tests/benchmark/batch.py --out runs/batch
	$(BIN)/python tests/benchmark/listing.py --out runs/listing

# The web page needs npm.
release: .venv/test
	test -d "$(KERAS_REDNET_DATA)/bsds500/train" # KERAS_REDNET_DATA must name the folder of the data sets
	$(BIN)/python -m export.tflite --data $(KERAS_REDNET_DATA)/bsds500/train --out dist
	$(BIN)/python -m export.saved_model --out dist
	$(BIN)/python -m export.parity dist --data $(KERAS_REDNET_DATA)
	$(BIN)/python -m export.card dist
	cp LICENSE dist/
	if command -v npm > /dev/null; then $(BIN)/python -m export.page dist; else echo 'no web page: npm is missing'; fi

.venv/demo: setup.cfg pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --editable ".[cpu]"
	touch $@

.venv/test: .venv/demo
	$(BIN)/pip install --quiet --editable ".[cpu,train,dev]"
	touch $@

.venv/scale: .venv/test
	$(BIN)/pip install --quiet --editable ".[cpu,train,dev,ray]"
	touch $@

clean:
	rm -rf .venv build dist demo *.egg-info
