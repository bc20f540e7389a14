# Everything runs in .venv, which `make setup` makes once; the other targets make it when it is missing.
SHELL := /bin/bash
.DEFAULT_GOAL := help
PYTHON ?= $(shell for p in python3.11 python3.12 python3.13 python3; do \
	$$p -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null && echo $$p && break; done)
TORCH := 2.13.0
JS_TOOLS := typescript@5.9.3 @biomejs/biome@2.6.8
BIN := .venv/bin
READY := .venv/.ready
ARGS ?=

.PHONY: help setup demo miniature paper-data test test-torchvision test-slurm check docs bench gpu-bundle clean

help: ## show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 25
	@echo '  ARGS="..." goes to the command: make demo ARGS="limit=20 tracker=wandb", make test ARGS="-k capture"'

setup: $(READY) ## make .venv with pinned dependencies and the package (torch for the CPU where there is no GPU)

$(READY): setup.cfg constraints.txt
	@test -n "$(PYTHON)" || { echo "pixfound needs Python 3.11 to 3.13: install one, or say make PYTHON=/path/to/python"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@echo "installing torch $(TORCH) and the pinned dependencies into .venv (some minutes, once)"
	@if command -v nvidia-smi >/dev/null; then $(BIN)/pip install -q "torch==$(TORCH)"; else \
		$(BIN)/pip install -q "torch==$(TORCH)+cpu" 2>/dev/null || { \
		echo "no CPU build of torch on the configured package index: taking the default build, which is larger"; \
		$(BIN)/pip install -q "torch==$(TORCH)"; }; fi
	@$(BIN)/pip install -q -c constraints.txt -e ".[dev,docs,cvbench,judge,photos,spacy,sweep]"
	@if command -v npm >/dev/null; then npm install --silent --no-audit --no-fund --prefix .venv $(JS_TOOLS) || \
		echo "no npm registry here: make check leaves out the scripts of the page"; fi
	@touch $@

demo: $(READY) ## the main job on embedded models, plain and pixel-level: a comparison, a table, pages (ARGS adds overrides)
	@$(BIN)/pixfound -m experiment=demo $(ARGS)

paper-data: $(READY) ## the data of the paper's tables, to data/ (ARGS="--from DIR" takes copies); says what is missing
	@$(BIN)/pixfound-data paper $(ARGS)

miniature: $(READY) ## the paper's questions on the miniatures: docs/miniature.md and its charts, about 15 minutes
	@$(BIN)/python -m experiments.miniature $(ARGS)

# Files side by side, as many as there are cores, each with one thread: torch's threads would be in each other's way.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --maxprocesses 8 --dist loadfile --no-loadscope-reorder

test: $(READY) ## all tests
	@$(PYTEST) $(ARGS)

# The processors of these models need torchvision, which needs torch in the build that it was compiled for: gigabytes, in
# an environment of its own. Another pair: make test-torchvision TORCHVISION="torch==2.13.0+cpu torchvision==0.28.0+cpu".
TORCHVISION := torch==2.14.1 torchvision==0.29.1
NEED_IT := cohere2_vision or lfm2_vl or llama4 or mistral3 or molmo2 or points or own_processor

.venv-torchvision/.ready: setup.cfg constraints.txt
	@test -n "$(PYTHON)" || { echo "pixfound needs Python 3.11 to 3.13: say make PYTHON=/path/to/python"; exit 1; }
	@test -x .venv-torchvision/bin/python || $(PYTHON) -m venv .venv-torchvision
	@echo "installing $(TORCHVISION) and the pinned dependencies into .venv-torchvision (gigabytes, once)"
	@.venv-torchvision/bin/pip install -q $(TORCHVISION)
	@.venv-torchvision/bin/pip install -q -c constraints.txt -e ".[dev,cvbench,judge,photos,spacy,sweep]"
	@touch $@

test-torchvision: .venv-torchvision/.ready ## the models whose processors need torchvision (5 GB, not part of CI)
	@$(subst $(BIN),.venv-torchvision/bin,$(PYTEST)) tests/models tests/segmenters tests/extractors tests/apps/certify \
		-k "$(NEED_IT)" $(ARGS)

SLURM := /tmp/pixfound-slurm

test-slurm: $(READY) ## a grid on a real two-node SLURM cluster, started on this machine (root, Debian or Ubuntu)
	@tests/slurm/cluster.sh start $(SLURM); code=$$?; test $$code != 77 || exit 0; test $$code = 0 || exit $$code; \
	PIXFOUND_SLURM_DIR=$(SLURM) $(BIN)/python -m pytest tests/slurm $(ARGS); code=$$?; \
	tests/slurm/cluster.sh stop $(SLURM); exit $$code

# The page needs no build and no node; its scripts are checked where npm is there to bring what checks them.
PAGE := src/pixfound/report/page
JS := $(CURDIR)/.venv/node_modules/.bin

check: $(READY) ## lint, format, layers and types
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/lint-imports setup.cfg
	@$(BIN)/mypy
	@test ! -x $(JS)/biome || (cd $(PAGE) && $(JS)/biome ci --colors=off .)
	@test ! -x $(JS)/tsc || $(JS)/tsc -p $(PAGE)

docs: $(READY) ## the guide as a site, to build/docs; a broken link or an unreachable page fails
	@NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict

bench: $(READY) ## speed against named baselines, to outputs/bench/bench.json
	@$(BIN)/python -m experiments.speed.bench $(ARGS)

gpu-bundle: $(READY) ## the project and the wheels for a GPU machine without a package index, in one archive
	@$(BIN)/python -m experiments.speed.gpu_bundle

clean: ## remove .venv and caches; outputs stay
	rm -rf .venv .venv-torchvision build dist .pytest_cache .mypy_cache .ruff_cache src/*.egg-info
