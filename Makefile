# make demo    install into .venv and watch mail being delivered, all on this machine
# make test    everything that is checked: lint, types, import contracts, the whole test suite
# make lint    the first three of these; make pytest: the last
# make clean   remove what the others made
#
# PYTHON=python3.12   the Python to use (else the newest here that is 3.11 or later)
# PYTEST_ARGS="-k mx" what to hand to pytest
# JOBS=4              in how many processes the tests run; 2 if not said
# make bench          measures composing, signing and sending against others (make peers first), queues
#                     of a million, and what heavy load does; half an hour
# make bench-plots    measures sending only, and draws it into docs/; ten minutes
# make fuzz           200,000 inputs through every way in for mail; RUNS=n for another number
# make torture        kills, freezes and cuts off the processes of durable queues, half an hour of it;
#                     SHORT=1 for a tenth
# make simulate       20,000 stories of a simulated world, in JOBS processes; SEEDS=n for another number
# make readers        10,000 emails, written by us, read by other people's parsers (make peers first)
# make peers          fetches what tests/interop and make bench run of other people's: a mail server,
#                     mail parsers and a mail sender in JavaScript (needs Node.js 20 or later, with npm)

VENV ?= .venv
PYTHON ?=
PYTEST_ARGS ?=
JOBS ?= 2
PEERS := Haraka@3.3.4 mailparser@3.14.2 nodemailer@10.6.0 postal-mime@4.0.0

BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --quiet --disable-pip-version-check
CANDIDATES := $(if $(PYTHON),"$(PYTHON)",python3.13 python3.12 python3.11 python3)
NEW_ENOUGH := import sys; sys.exit(sys.version_info < (3, 11))
GROUP := import sys, tomllib; groups = tomllib.load(open("pyproject.toml", "rb"))["dependency-groups"]; \
  print(*[package for group in sys.argv[1:] for package in groups[group]], sep="\n")
RUNS := 200000
SEEDS := 20000
# about a quarter of what hypothesis draws repeats something drawn before
EMAILS := 14000

ASKED_FOR := $(VENV)/.asked-for
# PYTHON= given, and the .venv at hand was made here with another: it goes.
ifneq ($(PYTHON),)
$(shell test ! -f "$(ASKED_FOR)" || test "$$(cat "$(ASKED_FOR)")" = "$(PYTHON)" || rm -rf "$(VENV)")
endif

MAKEFLAGS += --no-builtin-rules --no-print-directory
.PHONY: demo test pytest lint clean bench bench-plots fuzz torture simulate peers readers
.DEFAULT_GOAL := test

demo: $(VENV)/.demo-installed
	@$(BIN)/mailstrom demo

test: lint pytest

pytest: $(VENV)/.test-installed
	@$(BIN)/python -m pytest --numprocesses $(JOBS) --dist loadfile $(PYTEST_ARGS)

lint: $(VENV)/.test-installed
	@$(BIN)/python -m ruff check
	@$(BIN)/python -m mypy --strict src $(wildcard tests/typing/*.py)
	@$(BIN)/lint-imports --no-cache --no-logo

bench: $(VENV)/.bench-installed
	@$(BIN)/python -m benchmarks

bench-plots: $(VENV)/.bench-installed
	@$(BIN)/python -m benchmarks --only wire --record $(VENV)/wire.json
	@$(BIN)/python -m benchmarks.plots $(VENV)/wire.json docs

fuzz: $(VENV)/.fuzz-installed
	@$(BIN)/python -m tests.fuzz --runs $(RUNS)

torture: $(VENV)/.test-installed
	@$(BIN)/python -m tests.torture $(if $(SHORT),--short)
	@$(if $(SHORT),true,MAILSTROM_OUTAGE_SECS=30 $(BIN)/python -m pytest tests/interop/test_outages.py)

simulate: $(VENV)/.test-installed
	@$(BIN)/python -m tests.simulation --seeds $(SEEDS) --jobs $(JOBS)

readers: $(VENV)/.test-installed peers
	@MAILSTROM_EMAILS=$(EMAILS) $(BIN)/python -m pytest tests/interop/test_other_readers.py

peers: tests/interop/node_modules/.peers-fetched

tests/interop/node_modules/.peers-fetched: Makefile
	npm install --prefix tests/interop --no-save --no-package-lock --no-audit --no-fund $(PEERS)
	@touch $@

clean:
	rm -rf "$(VENV)" tests/interop/node_modules dist build
	rm -rf .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find src tests -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/.demo-installed: pyproject.toml | $(BIN)/python
	@echo "Installing mailstrom into $(VENV) ..."
	@$(PIP) --editable '.[cli]'
	@touch $@

$(VENV)/.test-installed: pyproject.toml | $(BIN)/python
	@echo "Installing mailstrom and the tools of its tests into $(VENV) ..."
	@$(BIN)/python -c '$(GROUP)' dev > $(VENV)/dev.txt
	@$(PIP) --editable '.[all]' --requirement $(VENV)/dev.txt
	@touch $(VENV)/.demo-installed $@

$(VENV)/.bench-installed $(VENV)/.fuzz-installed: $(VENV)/.%-installed: pyproject.toml $(VENV)/.test-installed
	@$(BIN)/python -c '$(GROUP)' $* > $(VENV)/$*.txt
	@$(PIP) --requirement $(VENV)/$*.txt
	@touch $@

# Each candidate is started: a name on the PATH may belong to a version that is not installed.
# Debian parts venv from Python: one that can make a .venv is taken before a newer one that cannot.
$(BIN)/python:
	@set -e; found=; runs=; \
	for candidate in $(CANDIDATES); do \
	  "$$candidate" -c '$(NEW_ENOUGH)' 2>/dev/null || continue; \
	  runs="$${runs:-$$candidate}"; \
	  if "$$candidate" -c 'import ensurepip, venv' 2>/dev/null; then found="$$candidate"; break; fi; \
	done; \
	if [ -z "$$runs" ]; then \
	  echo 'mailstrom needs Python 3.11 or later, and found none as: $(subst ",,$(CANDIDATES))'; \
	  echo 'Install one (Debian, Ubuntu: apt install python3 python3-venv) or give it: make PYTHON=/path/to/python'; \
	  exit 1; \
	fi >&2; \
	if [ -z "$$found" ]; then \
	  echo "$$runs cannot make a virtual environment: its venv or pip is missing."; \
	  echo 'Install it (Debian, Ubuntu: apt install python3-venv) or give another Python: make PYTHON=/path/to/python'; \
	  exit 1; \
	fi >&2; \
	rm -rf "$(VENV)"; \
	"$$found" -m venv "$(VENV)" || { rm -rf "$(VENV)"; exit 1; }; \
	echo "$(PYTHON)" > "$(ASKED_FOR)"
