# Everything happens in .venv; nothing but Python 3.11+ has to be there before.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
REAL := $(BIN)/python -m pytest -q -p no:cacheprovider -m "real or long" --durations=0
TESTS := $(BIN)/python -m pytest -q -n 2 --dist worksteal -m "not real and not long"
DATA ?= $(VAELAB_DATA)

.PHONY: help demo test lint check-data test-real docs cli-reference clean
.PHONY: bench bench-quality bench-gpu bench-ablation bench-memory bench-streaming

help:  ## this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 16

$(STAMP): pyproject.toml constraints.txt
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev,docs]'
	@touch $@

demo: $(STAMP)  ## install, train a VAE and a conditional VAE on the embedded digits, draw and print what they learned
	$(BIN)/vaelab demo --out runs/demo

test: lint docs $(STAMP)  ## lint, types, import directions, docs, and all tests on embedded data
	OMP_NUM_THREADS=1 $(TESTS)

lint: $(STAMP)  ## ruff, mypy, import directions
	$(BIN)/ruff check src tests tools benchmarks
	$(BIN)/ruff format --check src tests tools benchmarks
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: $(STAMP)  ## the pages and the API reference, warnings as errors, into docs/_build/html
	$(BIN)/python tools/cli_reference.py --check
	$(BIN)/sphinx-build -q -W --keep-going -b html docs docs/_build/html

cli-reference: $(STAMP)  ## write docs/cli.md anew from --help
	$(BIN)/python tools/cli_reference.py

check-data: $(STAMP)  ## verify the data files under $$VAELAB_DATA (or the user's cache)
	$(BIN)/vaelab data check mnist
	$(BIN)/vaelab data check fashion-mnist

test-real: $(STAMP)  ## the checks on real data: two studies, classifier, anomalies, M1+M2; needs VAELAB_DATA; half an hour
	$(REAL)

bench: $(STAMP)  ## speed beside the sheet's loop, Pythae, Keras and PyOD on the same work; needs VAELAB_DATA; 15 minutes
	$(BIN)/python benchmarks/run.py --out runs/bench

bench-quality: $(STAMP)  ## time to the sheet's quality: ten seeds, three of the sheet's loop; needs VAELAB_DATA; half an hour
	$(BIN)/python benchmarks/run.py --only quality --seeds 10 --sheet-seeds 3 --out runs/bench-quality

bench-gpu: $(STAMP)  ## the same on a GPU, where torch sees one
	$(BIN)/python benchmarks/run.py --only epoch quality likelihood embed classify --images 51200 --seeds 10 --out runs/bench-gpu

bench-ablation: $(STAMP)  ## what each choice of the fast path is worth, one undone at a time
	$(BIN)/python benchmarks/ablation.py

bench-memory: $(STAMP)  ## peak memory of importance-weighted evaluation, side by side for several sizes
	$(BIN)/python benchmarks/evaluation_memory.py

bench-streaming: $(STAMP)  ## speed and memory of training on 10⁶ images on disk, beside the same in memory
	$(BIN)/python benchmarks/streaming.py

clean:  ## remove what make made
	rm -rf $(VENV) build dist docs/_build src/*.egg-info
