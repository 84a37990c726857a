# Needs nothing but make and Python 3.11 or later: each target makes the virtual environment that it wants, from the
# hashed locks in requirements/, and a second run finds it made.

PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
CORE   := $(VENV)/.core
DEV    := $(VENV)/.dev
# Extra words for the command that a target runs: make serve ARGS="--config trunkline.yaml"
ARGS   ?=

PIP    := $(BIN)/python -m pip install --quiet --disable-pip-version-check
# The lock of the development environment is whole, and overrides what one package asks of another: hence --no-deps.
# --no-build-isolation: the build backend is in the lock, so that nothing unhashed is fetched.
PACKAGE := $(PIP) --no-deps --no-build-isolation --editable .
COMPILE := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
           --no-header --no-emit-index-url --no-emit-find-links

.DEFAULT_GOAL := help
.PHONY: help serve test check format bench bench-peers demo fuzz docs lock clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' Makefile

serve: $(CORE) ## Run the gateway (ARGS="--config trunkline.yaml")
	$(BIN)/trunkline serve $(ARGS)

test: $(DEV) ## Run all tests (ARGS="tests/config -x")
	$(BIN)/python -m pytest $(ARGS)

check: $(DEV) ## Format, lint, types and import rules; changes nothing
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(DEV) ## Format the code and apply the safe fixes
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(DEV) ## Measure this gateway: CPU per request and per chunk
	$(BIN)/python -m bench $(ARGS)

bench-peers: $(DEV) ## Measure it beside other proxies, in one run
	$(BIN)/python -m bench --peers $(ARGS)

demo: $(DEV) ## Run two gateways on Redis and PostgreSQL, and kill one
	$(BIN)/python -m bench.cluster $(ARGS)

fuzz: $(DEV) ## Fuzz every dialect for a minute each (ARGS="gemini --minutes 10")
	$(BIN)/python -m tests.fuzz $(ARGS)

docs: $(CORE) ## Rewrite the generated documentation
	$(BIN)/python -m trunkline.config.document

lock: $(DEV) ## Remake the locks from pyproject.toml (ARGS=--upgrade for newer versions)
	$(COMPILE) $(ARGS) pyproject.toml --group build --output-file requirements/core.txt
	$(COMPILE) $(ARGS) pyproject.toml --extra postgres --extra redis --extra conditions --extra vertex --extra bedrock --group build --group dev \
	    --constraint requirements/core.txt --override requirements/overrides.txt --output-file requirements/dev.txt

clean: ## Remove the virtual environment and everything made by tools
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache dist
	find src tests bench -name __pycache__ -type d -prune -exec rm -rf {} +

$(BIN)/python:
	@command -v $(PYTHON) >/dev/null || { echo "Trunkline needs Python 3.11 or later, as $(PYTHON); or say where: make PYTHON=/path/to/python" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	    { echo "Trunkline needs Python 3.11 or later; $(PYTHON) is $$($(PYTHON) --version 2>&1). Say where a newer one is: make PYTHON=/path/to/python" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(CORE): requirements/core.txt pyproject.toml | $(BIN)/python
	$(PIP) --require-hashes --requirement requirements/core.txt
	$(PACKAGE)
	@touch $@

$(DEV): requirements/dev.txt pyproject.toml | $(BIN)/python
	$(PIP) --require-hashes --no-deps --requirement requirements/dev.txt
	$(PACKAGE)
	@touch $(CORE) $@
