# Two commands do everything on a fresh machine with Python 3.11+: `make demo` and `make test`.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PYTEST := $(BIN)/python -m pytest --numprocesses auto --maxprocesses 4

.PHONY: demo run test test-all check format lint types bench lock clean

demo: $(VENV)/installed            ## the product without any account: prints an address, open it
	@$(BIN)/python -m bridge demo

run: $(VENV)/installed             ## the service, with ./config.yaml
	@$(BIN)/python -m bridge run

test: $(VENV)/installed-dev        ## everything but the slow stories
	$(PYTEST) -m "not slow"

test-all: $(VENV)/installed-dev    ## everything
	$(PYTEST)

check: format lint types test      ## the gate before a commit

format: $(VENV)/installed-dev
	$(BIN)/ruff format --check .

lint: $(VENV)/installed-dev
	$(BIN)/ruff check .

types: $(VENV)/installed-dev
	$(BIN)/mypy

bench: $(VENV)/installed-dev       ## the table in the README
	$(BIN)/python -m tests.bench

# Installing from the lock: every package pinned by hash, whatever index pip is set up for.
$(VENV)/installed: requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.12 …")'
	@test -d $(VENV) || $(PYTHON) -m venv $(VENV)
	@echo "Installing into $(VENV) …"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@touch $@

$(VENV)/installed-dev: requirements-dev.lock $(VENV)/installed
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock
	@touch $@

lock: $(VENV)/installed-dev        ## pins anew; names no registry
	$(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes --no-header --no-emit-index-url --upgrade \
	    --quiet -o requirements.lock pyproject.toml
	$(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes --no-header --no-emit-index-url --upgrade \
	    --quiet --extra dev -c requirements.lock -o requirements-dev.lock pyproject.toml

clean:
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
