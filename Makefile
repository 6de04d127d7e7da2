# Front Counter. `make help` lists what there is.

SHELL := /bin/bash
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

# The first Python 3.11 on the PATH, unless `make … PYTHON=…` names one.
PYTHON ?= $(shell for p in python3.11 python3 python; do "$$p" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' 2>/dev/null && echo "$$p" && break; done)

GATEWAY := .venv/bin/python
ASSISTANT := .venv-assistant/bin/python
UV := .tools/uv/bin/uv
LOCK := $(UV) pip compile --quiet --no-header --universal --generate-hashes --no-emit-index-url --no-emit-find-links --python-version 3.11 $(UPGRADE)
CODE := bot actions tests benchmarks scripts
# Folders that hold Python now; a checker refuses a folder that is not there.
PRESENT = $(wildcard $(CODE))

# Rasa counts its users unless told not to. TensorFlow's notes about the processor help nobody here.
export RASA_TELEMETRY_ENABLED := false
export TF_CPP_MIN_LOG_LEVEL := 2
export TF_ENABLE_ONEDNN_OPTS := 0

# Setup is quick when nothing changed, so whatever needs it just asks for it.
define SETUP
@if [ -z "$(PYTHON)" ]; then \
  echo "Front Counter needs Python 3.11, and none was found: install it, or name it with \`make $@ PYTHON=/path/to/python3.11\`." >&2; exit 1; \
elif ! command -v "$(PYTHON)" >/dev/null 2>&1; then \
  echo "$(PYTHON) cannot be run: name a Python 3.11 with \`make $@ PYTHON=/path/to/python3.11\`." >&2; exit 1; \
fi
@"$(PYTHON)" scripts/setup.py
endef

.PHONY: help setup demo practice train test check format evaluate drills shift soak drill-restore bench bench-desk burst connectors smoke screenshots assets lock clean

help: ## List the commands
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: ## Install everything into this folder (quick when nothing changed)
	$(SETUP)

demo: ## Start everything on this machine, with made-up staff; Ctrl-C stops it
	$(SETUP)
	@# `exec`, so that Ctrl-C and `kill` reach the demo itself, which takes its own processes down.
	@exec $(GATEWAY) -m bot.cli demo $(ARGS)

practice: ## The desk with made-up people, on a database of its own; Ctrl-C stops it
	$(SETUP)
	@exec $(GATEWAY) -m bot.cli practice $(ARGS)

train: ## Train the assistant's model from data/
	$(SETUP)
	@exec $(GATEWAY) -m bot.cli train $(ARGS)

test: check ## Check the code, then run every test in both environments
	@# Three at a time, for much of it waits: one file stays with one worker, and so do all browsers (tests/conftest.py).
	@$(GATEWAY) -m pytest -n 3 --dist loadfile $(ARGS)
	@$(ASSISTANT) -m pytest tests/rasa $(wildcard tests/nlu) --confcutdir=tests/rasa --disable-warnings -o filterwarnings=ignore $(ARGS)

check: ## Style, types (once in each environment) and who may import whom
	$(SETUP)
	@.venv/bin/ruff check --quiet --output-format concise $(PRESENT)
	@.venv/bin/ruff format --quiet --check $(PRESENT) || { echo "Some files are not formatted: run \`make format\`." >&2; exit 1; }
	@.venv/bin/mypy --no-error-summary --cache-dir .mypy_cache/gateway --exclude '^bot/nlu/' bot
	@.venv/bin/mypy --no-error-summary --cache-dir .mypy_cache/assistant --python-executable $(ASSISTANT) $(wildcard bot/nlu actions)
	@.venv/bin/lint-imports --no-logo >.tools/imports.log 2>&1 || { cat .tools/imports.log; exit 1; }

format: ## Put the code into its usual form
	$(SETUP)
	@.venv/bin/ruff check --quiet --fix $(PRESENT); .venv/bin/ruff format --quiet $(PRESENT)

evaluate: ## Measure understanding on the held-out set (report in var/), or answer FILE= and write OUT=
	@if [ -n "$(FILE)$(OUT)" ] && { [ -z "$(FILE)" ] || [ -z "$(OUT)" ]; }; then echo "Say what to read and where to write: make evaluate FILE=questions.jsonl OUT=results.jsonl" >&2; exit 2; fi
	$(SETUP)
	@exec $(GATEWAY) -m $(if $(FILE),bot.cli evaluate --file "$(FILE)" --out "$(OUT)",benchmarks.understanding.evaluate) $(ARGS)

drills: ## Break parts of the running system and watch what happens (FAULT= for one)
	$(SETUP)
	@exec $(GATEWAY) -m tests.drills $(if $(FAULT),--fault "$(FAULT)") $(ARGS)

drill-restore: ## Lose the database under traffic, restore it, count what is missing
	$(SETUP)
	@exec $(GATEWAY) -m tests.drills.restore $(ARGS)

shift: ## Eight hours of the desk with the clock moved, on SQLite and PostgreSQL
	$(SETUP)
	@exec $(GATEWAY) -m tests.simulation $(ARGS)

soak: ## The state machine 2,000 times, then mixed traffic for half an hour, every process restarted (ARGS="--games 50 --minutes 3" for less)
	$(SETUP)
	@exec $(GATEWAY) -m tests.soak $(ARGS)

bench: ## Measure speed and memory
	$(SETUP)
	@exec $(GATEWAY) -m benchmarks.run $(ARGS)

bench-desk: ## Measure the desk with 100 moderators on PostgreSQL (ARGS=--tenth for less, --sqlite)
	$(SETUP)
	@exec $(GATEWAY) -m benchmarks.desk $(ARGS)

burst: ## 5,000 people write within ten seconds (ARGS=--quick for a tenth, --sqlite)
	$(SETUP)
	@exec $(GATEWAY) -m benchmarks.burst $(ARGS)

connectors: ## What stock Rasa's own Facebook and Telegram connectors do with the same webhooks as ours
	$(SETUP)
	@exec $(GATEWAY) -m benchmarks.connectors $(ARGS)

smoke: ## Start everything, hold one conversation, stop
	$(SETUP)
	@exec $(GATEWAY) -m tests.smoke $(ARGS)

screenshots: ## Take the pictures of the README anew
	$(SETUP)
	@exec $(GATEWAY) -m tests.e2e.screenshots

assets: ## Build the pages' styles and scripts
	@$(or $(PYTHON),python3.11) scripts/setup.py node pages assets

lock: ## Write the lock files anew from requirements/*.in (UPGRADE=--upgrade for newer versions)
	$(SETUP)
	@$(LOCK) requirements/uv.in -o requirements/uv.txt
	@$(LOCK) requirements/node.in -o requirements/node.txt
	@$(LOCK) requirements/build.in -o requirements/build.txt
	@$(LOCK) requirements/gateway.in -o requirements/gateway.txt
	@$(LOCK) requirements/dev.in -c requirements/gateway.txt -o requirements/dev.txt
	@$(LOCK) requirements/assistant.in -o requirements/assistant.txt
	@npm install --package-lock-only --ignore-scripts --silent
	@if grep -nE '^ *(--(extra-)?index-url|--find-links)|"resolved":' requirements/*.txt package-lock.json; then echo "A lock file names where packages came from." >&2; exit 1; fi

clean: ## Remove what was made: environments, tools, caches, built pages (never data)
	@rm -rf .venv .venv-assistant .tools node_modules bot/console/static/build
	@rm -rf .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache .rasa
	@find $(PRESENT) -name __pycache__ -type d -prune -exec rm -rf {} +
