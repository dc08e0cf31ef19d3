# Everything runs in .venv, made on first use from requirements.lock. State goes below RETRAIN_HOME.

RETRAIN_HOME ?= .retrain
PYTEST_WORKERS ?= logical
PYTEST_ARGS ?=
UI_PORT ?= 3000

BIN := .venv/bin
READY := .venv/.ready
COMPILE := uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate \
	--no-emit-index-url --no-emit-find-links --custom-compile-command 'make lock'

export RETRAIN_HOME PYTHON
export DAGSTER_DISABLE_TELEMETRY := 1
export MLFLOW_DISABLE_TELEMETRY := true
export DO_NOT_TRACK := true

.DEFAULT_GOAL := help
.PHONY: help demo databricks-demo ui pictures test bench docs lint types imports defs format lock clean

help: ## List these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-15s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(READY) ## Run the main job on the flights of 2013 and print the table of retrains
	@$(BIN)/retrain demo

databricks-demo: $(READY) ## Run the first months of the demo with its heavy stages on an emulated Databricks workspace
	@$(BIN)/python -m retrain_assets_tests.databricks_demo

ui: $(READY) ## Open the Dagster UI on the same state (UI_PORT=3000)
	@mkdir -p "$$RETRAIN_HOME/dagster"
	@export DAGSTER_HOME="$$(cd "$$RETRAIN_HOME/dagster" && pwd)"; \
	[ -f "$$DAGSTER_HOME/dagster.yaml" ] || printf 'telemetry:\n  enabled: false\nnux:\n  enabled: false\n' > "$$DAGSTER_HOME/dagster.yaml"; \
	exec $(BIN)/dagster dev --workspace workspace.yaml --port $(UI_PORT)

test: $(READY) ## Run the test suite (PYTEST_ARGS='-k ledger' narrows it)
	@$(BIN)/pytest -n $(PYTEST_WORKERS) --maxprocesses 8 --dist loadscope $(PYTEST_ARGS)

bench: $(READY) ## Run the benchmarks and write bench.json below RETRAIN_HOME
	@test -d benchmarks || { echo "make bench: this checkout has no benchmarks/ folder" >&2; exit 1; }
	@$(BIN)/python -m benchmarks

docs: $(READY) ## Build the documentation's site into .site and check every link in it
	@$(BIN)/sphinx-build -q -W --keep-going -d .site/cache docs .site/html
	@echo "make docs: .site/html/index.html"

pictures: $(READY) ## Make the pictures of README and docs anew, from the real UI
	@$(BIN)/python -m retrain_assets_tests.pictures

lint: $(READY) ## Check style and formatting
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

types: $(READY) ## Check types
	@$(BIN)/mypy

imports: $(READY) ## Check that each room imports only from lower floors
	@$(BIN)/lint-imports

defs: $(READY) ## Check the shipped contracts and definitions as Dagster loads them
	@$(BIN)/dg check yaml
	@$(BIN)/dg check defs

format: $(READY) ## Apply formatting and the safe fixes
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

lock: ## Resolve the lock files anew (needs uv)
	@$(COMPILE) --upgrade --group dev --extra postgres --extra openfeature --extra tracing pyproject.toml --output-file requirements.lock
	@$(COMPILE) --constraints requirements.lock --group build --output-file requirements-build.lock

clean: ## Remove the environment and tool caches; state below RETRAIN_HOME stays
	@rm -rf .venv .site .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis dist
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(READY): requirements-build.lock requirements.lock pyproject.toml .ci/venv
	@.ci/venv .venv
	@touch $@
