# Weir's commands. `make serve` and `make test` need Python 3.11 or newer, make and a package
# registry, nothing else; ARGS reaches the program: `make serve ARGS='--listen 127.0.0.1:8000'`.

PYTHON ?=
ARGS ?=
VENV := .venv
BIN := $(VENV)/bin
FUZZ := .venv-fuzz

# The stamp carries the lock's digest: another lock is another stamp, and so a new environment.
DIGEST := $(shell { sha256sum requirements.lock 2>/dev/null || shasum -a 256 requirements.lock; } | cut -c1-16)
STAMP := $(VENV)/.stamp-$(DIGEST)

.DEFAULT_GOAL := help
.PHONY: help venv serve test check bench bench-streams bench-replay evaluation fuzz lock clean

help:
	@echo 'make serve   start Weir on 127.0.0.1:8080 with a stand-in model and a demo key'
	@echo 'make test    run the tests'
	@echo 'make check   format, lint, types, import contracts, coverage of the rooms, policy cases'
	@echo 'make bench   cost and latency of Weir beside a bare proxy'
	@echo 'make bench-streams   cost of a streamed chunk, bare, through Weir and under each shape'
	@echo 'make bench-replay   records a second and memory of a replay'
	@echo 'make evaluation   compose the medium population and measure the sample policies on it'
	@echo 'make fuzz    let a coverage-guided fuzzer loose on the readers, ten minutes each'
	@echo 'make lock    write requirements.lock again from pyproject.toml'
	@echo 'make clean   remove the environment and all caches, but not the state in .weir'

venv: $(STAMP)

$(STAMP):
	@PYTHON='$(PYTHON)' sh .ci/venv '$(VENV)' '$@'

# exec: the signals of make's child are Weir's, so Ctrl-C and SIGTERM drain it.
serve: $(STAMP)
	@exec $(BIN)/weir serve --demo $(ARGS)

# Side by side, a file a process; ARGS='-n 0' runs them one after the other.
SPREAD := -n auto --maxprocesses 4 --dist loadfile

test: $(STAMP)
	@$(BIN)/python -m pytest $(SPREAD) $(ARGS)

# Whole houses run in processes that coverage does not see: those tests are run by `make test` alone.
check: $(STAMP)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pytest $(SPREAD) --cov --cov-report=term:skip-covered --ignore=tests/gateway $(ARGS)
	$(BIN)/weir check policies
	$(BIN)/weir test policies

bench: $(STAMP)
	@$(BIN)/python bench/run.py $(ARGS)

bench-streams: $(STAMP)
	@$(BIN)/python bench/streams.py $(ARGS)

bench-replay: $(STAMP)
	@$(BIN)/python bench/replay.py $(ARGS)

# A quarter of an hour, and ../shared/data (or DATA=…, the same files).
evaluation: $(STAMP)
	@$(BIN)/weir evaluate bench/populations/medium.yaml --policies policies --markdown docs/evaluation.md $(ARGS)

# The fuzzer has an environment of its own: it instruments what it imports, and has no other use.
fuzz: $(STAMP) $(FUZZ)/.stamp
	@$(BIN)/python bench/fuzz/run.py --python $(FUZZ)/bin/python $(ARGS)

$(FUZZ)/.stamp: bench/fuzz/requirements.lock
	@PYTHON='$(PYTHON)' sh .ci/venv '$(FUZZ)' '$@' '$<'

lock:
	@PYTHON='$(PYTHON)' sh .ci/lock requirements.lock

clean:
	rm -rf $(VENV) $(FUZZ) build dist *.egg-info .coverage .coverage.* .hypothesis .import_linter_cache \
		.mypy_cache .pytest_cache .ruff_cache
	find proxy tests bench -name __pycache__ -type d -prune -exec rm -rf {} +
