# `make run` and `make test` are all a fresh machine needs: Python 3.11+ and gcc for the first.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
FAST := $(wildcard router/_fast/*.pyx router/_fast/*.pxd router/_fast/*.h)
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check

.PHONY: run test check bench fuzz soak conformance debug asan clean

run: $(VENV)/.run
	$(BIN)/router serve

test: check tests/e2e/node_modules/.done $(VENV)/.browser
	$(BIN)/python -m pytest tests
	$(MAKE) debug ONLY="tests/fast tests/fuzz"

check: $(VENV)/.dev
	$(BIN)/ruff format --check router tests bench setup.py
	$(BIN)/ruff check router tests bench setup.py
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(VENV)/.dev
	$(BIN)/python -m bench

# The tests of the compiled parts on a build with every check on, and under AddressSanitizer,
# which leaves out what measures memory.
debug asan: $(VENV)/.dev
	$(PIP) 'Cython>=3.1' 'setuptools>=68'
	ROUTER_$(if $(filter asan,$@),ASAN,DEBUG)=1 $(BIN)/python setup.py -q build --build-base build/$@-tmp --build-lib build/$@ >/dev/null
	cp -r tests docs README.md pyproject.toml build/$@/
	ln -sfn $(CURDIR)/../shared build/shared
	cd build/$@ && $(if $(filter asan,$@),$(SANITIZED)) $(CURDIR)/$(BIN)/python -m pytest $(ONLY) $(if $(filter asan,$@),-k 'not memory and not grow and not leak')

ONLY ?= tests/fast tests/fuzz tests/log tests/edge
SANITIZED = LD_PRELOAD="$$(gcc -print-file-name=libasan.so) $$(gcc -print-file-name=libstdc++.so)" \
	PYTHONMALLOC=malloc ASAN_OPTIONS=detect_leaks=0 UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1

# Longer than the tests do it: `make fuzz SECONDS=600`.
SECONDS ?= 60
fuzz: $(VENV)/.dev
	$(BIN)/python -m tests.fuzz --seconds $(SECONDS)

# Delivery under trouble for half an hour: `make soak SOAK=60` for a minute.
SOAK ?= 1800
soak: $(VENV)/.dev
	$(BIN)/python -m tests.e2e.soak $(SOAK)

# What our destinations send, against what Segment and RudderStack were recorded to send.
conformance: $(VENV)/.dev
	$(BIN)/python -m tests.conformance

clean:
	rm -rf $(VENV) build *.egg-info router/_fast/*.so router/_fast/*.c tests/e2e/node_modules

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.run: $(VENV)/bin/python pyproject.toml setup.py $(FAST)
	$(PIP) -e .
	@touch $@

$(VENV)/.dev: $(VENV)/bin/python pyproject.toml setup.py $(FAST)
	$(PIP) -e '.[dev]'
	@touch $@ $(VENV)/.run

tests/e2e/node_modules/.done: tests/e2e/package-lock.json
	cd tests/e2e && npm ci --silent --no-audit --no-fund
	@touch $@

# Chromium is what the browser SDK is tested in; Debian's package where there is none.
$(VENV)/.browser: $(VENV)/bin/python
	@command -v chromium >/dev/null || (apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium) >/dev/null
	@touch $@
