# make demo   sets up and runs five federated instances on this machine
# make test   sets up and runs every test; those in a browser need Chromium or its headless shell (a third of the work),
#             and are skipped without
# make test-fast  the tests that start no daemon, no Flower and no browser: under two minutes
# make check  ruff, spelling, glossary, import contract, mypy, tsc, eslint
# make test-flower FLOWER=1.42  the tests of groups on another version of Flower, in an environment of its own
# make test-install  the README's install commands in a clean Debian: needs root and debootstrap, takes minutes
# make test-upgrade OLD=v0.2.0  an older release as a peer, and this checkout on its folder; without OLD the newest tag
# make bench  speed, as ratios against named baselines
# make scale  sync, training and serving of a made-up instance with a million videos and 100,000 viewers (an hour or more;
#             another size with SCALE_ARGS="--videos 10000")
# make chaos  daemons killed at random under load, full disks, damaged files, clock jumps, a failing PeerTube: no wrong
#             answer, no lost entry, no wrong sum, nothing given twice (an hour; shorter with CHAOS_ARGS="--kills 20 --faults 1 --rounds 5")
# make results  quality by data set and by number of viewers, into docs/results.md: half an hour with
#             RESULTS_ARGS="--data DIR", the folder of the sets that may not be copied
# make privacy  attacks on our own sums, by privacy level, with what each level costs in quality
# make lock   writes docker/requirements.txt: versions and hashes of all that the image holds
# make release  builds wheel, plugin and checksums of the newest commit into dist/, if nothing in them is untrue
# make docs   writes what is made from the code: pages of docs/, and the types of the admin API for its page
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

.PHONY: demo test test-fast test-flower test-install test-upgrade check bench scale chaos results privacy lock release docs \
	changelog clean

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

# Whoever widens the bounds of flwr in pyproject.toml runs it for each version within them.
FLOWER ?= 1.41
test-flower: $(VENV)-flower-$(FLOWER)/.installed
	$(subst $(BIN),$(<D)/bin,$(PYTEST)) tests/federation/flower tests/daemon/group tests/adversaries/test_flower_attacks.py \
		-n 2 --dist loadfile $(PYTEST_ARGS)

$(VENV)-flower-%/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(@D)
	$(subst $(BIN),$(@D)/bin,$(PIP_INSTALL)) --editable '.[dev]' 'flwr[simulation]==$*.*'
	touch $@

test-install: $(VENV)/.installed-dev $(JS)/node_modules/.installed
	$(BIN)/python -m tests.install $(INSTALL_ARGS)

test-upgrade: $(VENV)/.installed-dev
	$(BIN)/python -m tests.upgrade $(OLD)

check: $(VENV)/.installed-dev $(JS)/node_modules/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/codespell
	$(BIN)/python -m tests.docs.glossary
	$(BIN)/lint-imports --no-logo
	$(BIN)/mypy
	npm --prefix $(JS) run --silent check

bench: $(VENV)/.installed-dev $(JS)/node_modules/.installed
	@$(BIN)/python -m tests.bench $(BENCH_ARGS); python=$$?; \
	npm --prefix $(JS) run --silent bench; plugin=$$?; exit $$((python ? python : plugin))

scale: $(VENV)/.installed-dev
	$(BIN)/python -m tests.bench.scale $(SCALE_ARGS)

chaos: $(VENV)/.installed-dev
	$(BIN)/python -m tests.chaos $(CHAOS_ARGS)

results: $(VENV)/.installed-dev
	$(BIN)/python -m tests.results $(RESULTS_ARGS)

privacy: $(VENV)/.installed-dev
	$(BIN)/python -m tests.adversaries.privacy $(PRIVACY_ARGS)

# Torch is looked for in its own index, and nothing else is. Where that cannot be reached, TORCH_WHEELS names a folder
# with the wheel; the line for torch then stays without a hash.
LOCK := $(BIN)/uv pip compile --quiet --generate-hashes --no-annotate --custom-compile-command 'make lock' \
	--python-version 3.11 --python-platform x86_64-manylinux_2_28 \
	$(if $(TORCH_WHEELS),--find-links $(TORCH_WHEELS),--torch-backend cpu)
lock: $(VENV)/.installed-dev
	@torch=$$(mktemp --suffix=.in); trap 'rm -f $$torch' EXIT; sed -n 's/^torch==.*/&+cpu/p' constraints.txt > $$torch; \
	$(LOCK) --extra group --override $$torch --no-emit-package torch --upgrade \
		--output-file docker/requirements.txt pyproject.toml \
	$(if $(TORCH_WHEELS),,&& $(LOCK) --no-deps --output-file docker/requirements-torch.txt $$torch)

release: $(VENV)/.installed-dev
	$(BIN)/python -m tests.release

docs: $(VENV)/.installed-dev $(JS)/node_modules/.installed
	$(BIN)/python -m tests.docs.generate

changelog: $(VENV)/.installed-dev
	$(BIN)/towncrier build $(if $(VERSION),--version $(VERSION) --yes,--version next --draft)

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "Shoal needs Python 3.11 or newer; $(PYTHON) is older. Try: make PYTHON=python3.11"; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: pyproject.toml constraints.txt | $(BIN)/python
	$(PIP_INSTALL) --editable '.[group]'
	touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	$(PIP_INSTALL) --editable '.[dev]'
	touch $@

$(JS)/node_modules/.installed: $(JS)/package-lock.json
	npm --prefix $(JS) ci --no-audit --no-fund --silent
	touch $@

clean:
	rm -rf $(VENV) $(VENV)-flower-* $(JS)/node_modules build dist *.egg-info
