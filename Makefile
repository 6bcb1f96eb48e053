# Settings, each for the command line: make train CELEBA=~/img_align_celeba.zip EPOCHS=40
CELEBA ?= $(firstword $(wildcard data/img_align_celeba.zip data/img_align_celeba /content/img_align_celeba/img_align_celeba))
DATA ?= data
PRESET ?= classic
EPOCHS ?= 20
RUN ?= runs/$(PRESET)-$(SOURCE_NAME)
# More options: of training.run, and of preprocess.run (SHARD_ARGS="--crop center").
ARGS ?=
SHARD_ARGS ?=
PYTHON ?= python3
# Processes of `make test`, each of up to 2.4 GB.
WORKERS ?= 2
# VENV= (empty) uses the Python at hand, with what is installed there: on Colab, or in an environment of your own.
VENV ?= .venv

# Make knows no spaces within a name: only the shell handles a setting, as one word, whatever is in it. ~/ is the home.
quoted = $(subst '~/,~/','$(subst ','\'',$1)')

DRAWN_FACES := docs/drawn_faces/drawn_faces.zip
# Shards that are there stay, where no photos are named: MADE_FROM is what they were made from.
MANIFEST := $(call quoted,$(DATA)/manifest.json)
FIRST_SOURCE := import json, os, sys; os.write(1, os.fsencode(json.load(open(sys.argv[1]))["source"]["paths"][0]))
MADE_FROM := $(if $(CELEBA),,$(shell test ! -e $(MANIFEST) || \
  $(call quoted,$(PYTHON)) -c '$(FIRST_SOURCE)' $(MANIFEST) 2>/dev/null || echo photos))
SOURCE := $(or $(CELEBA),$(MADE_FROM),$(DRAWN_FACES))
SOURCE_NAME = $(shell name=$$(basename $(call quoted,$(SOURCE))); printf '%s' "$${name%.*}")

RUNNER := $(call quoted,$(if $(VENV),$(VENV)/bin/python,$(PYTHON)))

.DEFAULT_GOAL := help
.PHONY: help shards train test lint coverage bench gpu-check clean ready test-ready

help: ## This list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-9s %s\n", $$1, $$2}' Makefile

shards: ready ## Crop the photos of CELEBA=photos.zip|folder to shards in data/ (drawn faces where there are none)
ifneq ($(MADE_FROM),)
	@: $(info The shards in $(DATA) are used, made from $(MADE_FROM). \
	  Others: make $(or $(MAKECMDGOALS),shards) CELEBA=photos.zip|folder)
else
ifeq ($(CELEBA),)
	@: $(info No CelebA found: the faces of $(DRAWN_FACES) take its place. \
	  Your own: make $(or $(MAKECMDGOALS),shards) CELEBA=photos.zip|folder)
endif
	@$(RUNNER) -m preprocess.run --source $(call quoted,$(SOURCE)) --out $(call quoted,$(DATA)) --overwrite \
	  --attributes auto --partitions auto $(SHARD_ARGS)
endif

train: shards ## Train PRESET=classic for EPOCHS=20 on the shards; resumes where it stopped
	@$(RUNNER) -m training.run --shards $(call quoted,$(DATA))/*.tfrecord --preset $(call quoted,$(PRESET)) \
	  --epochs $(call quoted,$(EPOCHS)) --out $(call quoted,$(RUN)) $(ARGS)

# Files in the order of tests/conftest.py: the plugin would begin with those of many tests, but the slowest tests are in
# files of few.
test: test-ready ## Run every test
	@$(RUNNER) -m pytest --numprocesses $(WORKERS) --dist loadfile --no-loadscope-reorder

# Prettier formats the page's scripts and styles; it comes from npm.
PRETTIER := npx --yes prettier@3.10.1 --print-width 120 explore/page/*.js explore/page/*.css

lint: test-ready ## Check style, types, and who imports whom
	@$(RUNNER) -m ruff check .
	@$(RUNNER) -m ruff format --check .
	@$(RUNNER) -m mypy
	@$(RUNNER) -c 'from importlinter.cli import lint_imports_command; lint_imports_command()' --no-cache --no-logo
	@if command -v npx > /dev/null; then $(PRETTIER) --check; else echo "No npx here: the page's format is not checked."; fi

# Tests of full disks and of a command's first instants are left out: coverage writes files too.
coverage: test-ready ## Run every test and list the statements and branches that none executes
	@rm -rf .coverage; mkdir .coverage
	@$(RUNNER) -m coverage run -m pytest --numprocesses $(WORKERS) --dist loadfile --no-loadscope-reorder \
	  -k "not a_disk_without_room and not ctrl_c_while_the_command_starts"; status=$$?; \
	  $(RUNNER) -m coverage combine --quiet; $(RUNNER) -m coverage report; exit $$status

bench: test-ready ## Measure both stages on CELEBA=photos.zip: tables of speed and memory
	@for benchmark in tests/benchmarks/*_speed.py tests/benchmarks/*_memory.py; do \
	  $(RUNNER) $$benchmark --source $(call quoted,$(SOURCE)) || exit 1; done

gpu-check: test-ready ## Hold everything that GPUs could do otherwise against the CPU: a report, in ten minutes
	@$(RUNNER) tests/benchmarks/gpu_check.py

clean: ## Remove .venv, the shards, what was learned from them; photos and runs stay
	test ! -d $(call quoted,$(DATA)) || (cd $(call quoted,$(DATA)) && rm -rf .unfinished .lock .lock.holder \
	  *-?????-of-?????.tfrecord manifest.json dataset_info.json features.json rejected.jsonl \
	  features/attributes.keras features/attributes.json features/judge.keras features/judge.json features/*.npz)
	rm -rf .venv .coverage .hypothesis .pytest_cache .ruff_cache .mypy_cache
	find system preprocess training explore tests -name __pycache__ -prune -exec rm -rf {} +

# pip would only say that it finds no TensorFlow. An environment that does not work is made again where it is.
PYTHONS := 3.11 3.12 3.13
IS_SUPPORTED := import sys; sys.exit("%d.%d" % sys.version_info[:2] not in "$(PYTHONS)".split())
NAMED_PYTHON := $(call quoted,$(PYTHON))
ENVIRONMENT := $(call quoted,$(VENV))
# $(call installed,FILES): a copy of the requirements in the environment says that they are installed. Python compiles
# what it imports; pip would compile all of TensorFlow, which takes 15 s.
STAMP = $(ENVIRONMENT)/.installed-$(lastword $1)
installed = cat $1 | cmp -s - $(STAMP) || { \
  $(RUNNER) -m pip install --quiet --no-compile --disable-pip-version-check $(addprefix -r ,$1) && cat $1 > $(STAMP); }

# Container images of Python often set it: then every start compiles TensorFlow again, which takes 6 s.
unexport PYTHONDONTWRITEBYTECODE
# Where the user's pip.conf says `user = true`, pip refuses to install into an environment.
export PIP_USER := 0

ready:
ifneq ($(VENV),)
	@$(RUNNER) -c 'import pip; $(IS_SUPPORTED)' 2>/dev/null || { \
	  $(NAMED_PYTHON) -c '$(IS_SUPPORTED)' 2>/dev/null || { \
	    echo "TensorFlow 2.21 needs Python $(PYTHONS), and "$(NAMED_PYTHON)" is: $$($(NAMED_PYTHON) --version 2>&1 | head -n 1)." \
	      "Name another: make $(MAKECMDGOALS) PYTHON=python$(lastword $(PYTHONS))"; exit 1; } >&2; \
	  test ! -e $(ENVIRONMENT)/pyvenv.cfg || rm -f $(ENVIRONMENT)/bin/python* $(ENVIRONMENT)/.installed-*; \
	  $(NAMED_PYTHON) -m venv $(ENVIRONMENT); }
	@$(call installed,requirements.txt)
endif

test-ready: ready
ifneq ($(VENV),)
	@$(call installed,requirements.txt requirements-bucket.txt requirements-cluster.txt requirements-evaluate.txt \
	  requirements-export.txt requirements-dev.txt)
endif
