# make demo   sets up and runs five federated instances on this machine
# make test   sets up and runs every test; those in a browser need Chromium or its headless shell (a third of the work),
#             and are skipped without
# make test-fast  the tests that start no daemon, no Flower and no browser: under two minutes
# make check  ruff, spelling, glossary, import contract, mypy, tsc, eslint
# make bench  speed, as ratios against named baselines
# make chaos  rounds of five real daemons, killed at random: no wrong sum, nothing given twice (20 to 30 minutes)
# make privacy  attacks on our own sums, by privacy level, with what each level costs in quality
# make docs   writes the pages of docs/ that are made from the code
# make changelog  prints what the next release will say; with VERSION=0.2.0 writes it into CHANGELOG.md
#
# TORCH_INDEX: package index for torch. Without it pip may pull the CUDA build, several gigabytes that Shoal
# never uses: TORCH_INDEX=https://download.pytorch.org/whl/cpu
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
# Compiled modules are kept, whatever the environment says: the tests start Python hundreds of times.
PYTEST := PYTHONDONTWRITEBYTECODE= OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 $(BIN)/python -m pytest
JS := tests/plugin
PIP_INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt \
	$(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX))

.PHONY: demo test test-fast check bench chaos privacy docs changelog clean

demo: $(VENV)/.installed
	$(BIN)/shoal demo $(DEMO_ARGS)

# $(call run_tests,ARGUMENTS OF PYTEST,SCRIPT OF NPM): Python's tests, and the plugin's beside them. Of the plugin's, the
# summary is shown at the end, and everything if one failed.
define run_tests
@log=$$(mktemp); npm --prefix $(JS) run --silent $(2) > $$log 2>&1 & plugin=$$!; \
trap 'kill $$plugin; rm -f $$log; exit 130' INT TERM; \
$(PYTEST) $(1) $(PYTEST_ARGS); python=$$?; \
wait $$plugin; plugin=$$?; \
if [ $$plugin = 0 ]; then tail -n 8 $$log; else cat $$log; fi; \
rm -f $$log; exit $$((python ? python : plugin))
endef

# Three workers on two processors: many tests wait for the daemons that they start.
test: $(VENV)/.installed-dev $(JS)/node_modules/.installed
	$(call run_tests,-n 3 --dist loadfile --no-loadscope-reorder,test)

test-fast: $(VENV)/.installed-dev $(JS)/node_modules/.installed
	$(call run_tests,-n 2 --dist loadfile -m "not daemon and not flower and not slow",test:fast)

check: $(VENV)/.installed-dev $(JS)/node_modules/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/codespell
	$(BIN)/python -m tests.docs.glossary
	$(BIN)/lint-imports --no-logo
	$(BIN)/mypy
	npm --prefix $(JS) run --silent check

bench: $(VENV)/.installed-dev $(JS)/node_modules/.installed
	$(BIN)/python -m tests.bench $(BENCH_ARGS)
	npm --prefix $(JS) run --silent bench

chaos: $(VENV)/.installed-dev
	$(BIN)/python -m tests.chaos $(CHAOS_ARGS)

privacy: $(VENV)/.installed-dev
	$(BIN)/python -m tests.adversaries.privacy $(PRIVACY_ARGS)

docs: $(VENV)/.installed-dev
	$(BIN)/python -m tests.docs.generate

changelog: $(VENV)/.installed-dev
	$(BIN)/towncrier build $(if $(VERSION),--version $(VERSION) --yes,--version next --draft)

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "Shoal needs Python 3.11 or newer; $(PYTHON) is older. Try: make PYTHON=python3.11"; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: pyproject.toml constraints.txt | $(BIN)/python
	$(PIP_INSTALL) --editable .
	touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	$(PIP_INSTALL) --editable '.[dev]'
	touch $@

$(JS)/node_modules/.installed: $(JS)/package-lock.json
	npm --prefix $(JS) ci --no-audit --no-fund --silent
	touch $@

clean:
	rm -rf $(VENV) $(JS)/node_modules build *.egg-info
