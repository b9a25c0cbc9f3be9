# `make demo` restores a photograph, `make test` runs the tests, both in a virtual environment of their own, .make.
# `make release KERAS_REDNET_DATA=DATASETS` builds the artefacts of all shipped networks in dist/ and scores them,
# into recipes/results.
PYTHON ?= python3
BIN := .make/bin

.PHONY: demo test test-slow test-scale benchmark release clean

demo: .make/demo
	$(BIN)/python -m recipes.demo

test: .make/test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/python -m pytest -n auto --maxprocesses 4 --dist worksteal

test-slow: .make/test
	$(BIN)/python -m pytest -m slow

test-scale: .make/scale
	$(BIN)/python -m pytest -m slow tests/slow/test_batch.py tests/slow/test_distribute.py

benchmark: .make/scale
	$(BIN)/python tests/benchmark/restore.py --out runs/restore
	$(BIN)/python tests/benchmark/inference.py --out runs/inference
	$(BIN)/python tests/benchmark/batch.py --out runs/batch
	$(BIN)/python tests/benchmark/listing.py --out runs/listing

# The web page needs npm.
release: .make/test
	for set in bsds500/train set5 set12 live1; do test -d "$(KERAS_REDNET_DATA)/$$set" || \
	    { echo "KERAS_REDNET_DATA must name the folder of the data sets, with $$set in it"; exit 1; }; done
	rm -rf dist # or what is no longer shipped would stay
	$(BIN)/python -m export.tflite --data "$(KERAS_REDNET_DATA)/bsds500/train" --out dist
	$(BIN)/python -m export.saved_model --out dist
	$(BIN)/python -m export.parity dist --data "$(KERAS_REDNET_DATA)"
	$(BIN)/python -m export.card dist
	cp LICENSE dist/
	if command -v npm > /dev/null; then $(BIN)/python -m export.page dist; else echo 'no web page: npm is missing'; fi

.make/demo: setup.cfg pyproject.toml
	$(PYTHON) -m venv --clear .make
	$(BIN)/python -m pip install --quiet --editable ".[cpu]"
	touch $@

.make/test: .make/demo
	$(BIN)/python -m pip install --quiet --editable ".[cpu,train,dev]"
	touch $@

.make/scale: .make/test
	$(BIN)/python -m pip install --quiet --editable ".[cpu,train,dev,ray]"
	touch $@

clean:
	rm -rf .make build dist demo *.egg-info
