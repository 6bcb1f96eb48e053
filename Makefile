# Settings, each for the command line: make train CELEBA=~/img_align_celeba.zip EPOCHS=40
CELEBA ?= $(firstword $(wildcard data/img_align_celeba.zip data/img_align_celeba /content/img_align_celeba/img_align_celeba))
DATA ?= data
PRESET ?= classic
EPOCHS ?= 20
# More options: of training.run, and of preprocess.run (SHARD_ARGS="--crop center").
ARGS ?=
SHARD_ARGS ?=
PYTHON ?= python3
# Processes of `make test`, each of up to 2.4 GB.
WORKERS ?= 2
VENV ?= .venv

STAND_INS := $(DATA)/sample_photos
# Shards that are there stay, where no photos are named: MADE_FROM is what they were made from.
MADE_FROM := $(if $(CELEBA),,$(shell $(PYTHON) -c "import json; print(json.load(open('$(DATA)/manifest.json'))['source']['paths'][0])" 2>/dev/null))
SOURCE := $(or $(CELEBA:~/%=$(HOME)/%),$(MADE_FROM),$(STAND_INS)/img_align_celeba)
RUN ?= runs/$(PRESET)-$(if $(findstring $(STAND_INS),$(SOURCE)),sample_photos,$(basename $(notdir $(SOURCE:%/=%))))

# VENV= (empty) uses the Python at hand, with what is installed there: on Colab, or in an environment of your own.
RUNNER := $(if $(VENV),$(VENV)/bin/python,$(PYTHON))
RUN_READY := $(if $(VENV),$(VENV)/.ready)
TEST_READY := $(if $(VENV),$(VENV)/.test-ready)

.DEFAULT_GOAL := help
.PHONY: help shards train test lint coverage bench gpu-check clean

help: ## This list
	@grep -E '^[a-z-]+:.*## ' $(firstword $(MAKEFILE_LIST)) | sed -E 's/:[^#]*## /\t/' | awk -F '\t' '{printf "  make %-9s %s\n", $$1, $$2}'

shards: $(RUN_READY) ## Crop the photos of CELEBA=photos.zip|folder to shards in data/ (drawn stand-ins where there are none)
ifneq ($(MADE_FROM),)
	@echo "The shards in $(DATA) are used, made from $(MADE_FROM). Others: make $(or $(MAKECMDGOALS),shards) CELEBA=photos.zip|folder"
else
ifeq ($(CELEBA),)
	@echo "No CelebA found: stand-in photos are drawn. Your own: make $(or $(MAKECMDGOALS),shards) CELEBA=photos.zip|folder"
	@$(RUNNER) -m preprocess.sample_photos --out $(STAND_INS) --count 3000
endif
	@$(RUNNER) -m preprocess.run --source "$(SOURCE)" --out "$(DATA)" --overwrite \
	  --attributes auto --partitions auto $(SHARD_ARGS)
endif

train: shards ## Train PRESET=classic for EPOCHS=20 on the shards; resumes where it stopped
	@$(RUNNER) -m training.run --shards $(DATA)/*.tfrecord --preset $(PRESET) --epochs $(EPOCHS) --out "$(RUN)" $(ARGS)

# Files in their order: the plugin would begin with those of the most tests, and the longest tests are in files of few.
test: $(TEST_READY) ## Run every test
	@$(RUNNER) -m pytest --numprocesses $(WORKERS) --dist loadfile --no-loadscope-reorder

lint: $(TEST_READY) ## Check style
	@$(RUNNER) -m ruff check .
	@$(RUNNER) -m ruff format --check .

# Tests of full disks and of a command's first instants are left out: coverage writes files too.
coverage: $(TEST_READY) ## Run every test and list the statements and branches that none executes
	@rm -rf .coverage; mkdir .coverage
	@$(RUNNER) -m coverage run -m pytest --numprocesses $(WORKERS) --dist loadfile --no-loadscope-reorder \
	  -k "not a_disk_without_room and not ctrl_c_while_the_command_starts"; status=$$?; \
	  $(RUNNER) -m coverage combine --quiet; $(RUNNER) -m coverage report; exit $$status

bench: $(TEST_READY) ## Measure both stages on CELEBA=photos.zip: tables of speed and memory
	@for benchmark in tests/benchmarks/*_speed.py tests/benchmarks/*_memory.py; do $(RUNNER) $$benchmark --source "$(SOURCE)" || exit 1; done

gpu-check: $(TEST_READY) ## Hold everything that GPUs could do otherwise against the CPU: a report, in ten minutes
	@$(RUNNER) tests/benchmarks/gpu_check.py

clean: ## Remove the environment, the shards, what was learned from them, the stand-ins; photos and runs stay
	rm -rf .venv $(STAND_INS) $(DATA)/features/attributes.* $(DATA)/features/judge.* $(DATA)/features/*.npz $(DATA)/.unfinished $(DATA)/*.tfrecord $(DATA)/*.json $(DATA)/*.jsonl .pytest_cache .ruff_cache
	find preprocess training tests -name __pycache__ -prune -exec rm -rf {} +

$(VENV)/.ready: requirements.txt
	$(PYTHON) -m venv $(VENV)
	$(RUNNER) -m pip install --quiet --disable-pip-version-check -r requirements.txt
	@touch $@

$(VENV)/.test-ready: requirements-dev.txt $(RUN_READY)
	$(RUNNER) -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	@touch $@
