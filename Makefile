# Everything a person types. Needs Python 3.11 or newer, make and the package registries.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
WORKERS ?= auto

.DEFAULT_GOAL := help
.PHONY: help run test faults check bench agent-wheel agent-lock schema messages setup setup-dev clean

help: ## Show what there is
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

run: setup ## Start the platform: server, housekeeping and one local agent
	@exec $(BIN)/python manage.py up

test: setup-dev ## Run the whole test suite, the storage parts also on PostgreSQL
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadgroup
	$(BIN)/python -m tests.on_postgres -n $(WORKERS)

faults: setup-dev ## Break everything many times and print what was violated (ONLY=words, TRIALS=50, FAULTS_SCALE=0.1)
	$(BIN)/python -m tests.faults $(ONLY)

check: setup-dev ## Format, lint, types, migrations, templates, rules, style budgets
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy agent_client dialer_platform agents tasks templates_app
	$(BIN)/python manage.py makemigrations --check --dry-run
	$(BIN)/python manage.py spectacular --validate --fail-on-warn --file /dev/null
	$(BIN)/djhtml --check --tabwidth 2 dialer_platform/*/templates agents/templates tasks/templates tasks/*/templates templates_app/templates
	$(BIN)/python -m pytest -q -n 0 tests/rules

bench: setup-dev ## Measure on this machine and print the tables
	$(BIN)/python -m bench

agent-wheel: setup ## Build the wheel of the agent into dist/
	$(BIN)/python manage.py agent_wheel dist

agent-lock: setup ## Write anew the digests of the packages that the agent's wheel pins (needs the index)
	$(BIN)/python manage.py agent_lock

schema: setup-dev ## Write the OpenAPI schema to build/openapi.yaml
	@mkdir -p build
	$(BIN)/python manage.py spectacular --validate --fail-on-warn --file build/openapi.yaml

messages: setup-dev ## Gather new texts of the console for translation (needs gettext)
	$(BIN)/python manage.py makemessages -l zh_Hans --no-location --no-obsolete --no-wrap \
		-i .venv -i tests -i bench -i agent_client -i docs -i data -i static -i 'templates_app/starters'

setup: $(VENV)/.runtime ## Make .venv with the pinned requirements
setup-dev: $(VENV)/.development ## The same with what the tests need

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed; name it: make PYTHON=python3.12 ..."; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.runtime: requirements.txt | $(VENV)/bin/python
	@echo "Installing the requirements into $(VENV), once; it is quiet until done."
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	@touch $@

$(VENV)/.development: requirements.txt requirements-dev.txt | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	@touch $@ $(VENV)/.runtime

clean: ## Remove the virtual environment and caches (never data/)
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis
