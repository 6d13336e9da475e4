# `make demo` and `make test` are all a newcomer needs: Python 3.11 to 3.13, make and git.
# uv comes from PyPI into .uv/, everything else into .venv/, nothing outside this folder.

PYTHON ?= python3
UV := .uv/bin/uv
# uv must use the Python that is here: it would otherwise fetch one from elsewhere.
export UV_PYTHON_DOWNLOADS := never
export UV_NO_PROGRESS := 1
# Bytecode stays in .venv: without it every process compiles all of Airflow, in 3 s.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo test unit lint bench clean env
.DEFAULT_GOAL := help

.PHONY: help
help:
	@echo "make demo    YAML to warehouse on real data, on this machine (FORCE=1 merges again)"
	@echo "make test    all tests"
	@echo "make unit    the tests that start no server"
	@echo "make lint    ruff, mypy, the lock file"
	@echo "make lock    write the lock files anew, after a change of dependencies"
	@echo "make bench   the benchmarks, each against its peers (QUICK=1: every table in a few minutes)"
	@echo "make clean   remove what make and the demo made"

$(UV):
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' || \
	  { echo "Python 3.11, 3.12 or 3.13 is needed, but $(PYTHON) is `$(PYTHON) --version`: make PYTHON=python3.12 ..." >&2; exit 1; }
	@$(PYTHON) -m venv .uv || { rm -rf .uv; echo "$(PYTHON) cannot make a virtual environment; on Debian: apt install python3-venv" >&2; exit 1; }
	@.uv/bin/pip install --quiet --disable-pip-version-check 'uv>=0.9' || { rm -rf .uv; exit 1; }

.venv/ready: pyproject.toml uv.lock | $(UV)
	@$(UV) sync --frozen --quiet --python $(PYTHON)
	@touch $@

env: .venv/ready

demo: .venv/ready
	@.venv/bin/sluicegate demo $(if $(FORCE),--force)

# First what needs no server, on all cores; then what starts servers and kills things: a third of that waits, so three at once.
LANES ?= 3
test: .venv/ready
ifdef ARGS
	@.venv/bin/pytest $(ARGS)
else
	@.venv/bin/pytest -m "not system" -n auto
	@.venv/bin/pytest -m system -n $(LANES) --dist loadscope --no-loadscope-reorder --durations=25 $(if $(CI),--junitxml=test-results.xml)
endif

# What needs no server: well under a minute on two cores.
unit: .venv/ready
	@.venv/bin/pytest -m "not system" -n auto $(ARGS)

lint: .venv/ready
	@$(UV) lock --check --quiet
	@$(UV) lock --check --quiet --project tests/airflow34
	@.venv/bin/ruff check .
	@.venv/bin/ruff format --check .
	@.venv/bin/mypy

# Both lock files: that of the project, and that of the environment with Airflow 3.4, which holds the project too.
.PHONY: lock
lock: | $(UV)
	@$(UV) lock --quiet
	@$(UV) lock --quiet --project tests/airflow34

bench: .venv/ready
	@.venv/bin/python benchmarks/run.py $(if $(QUICK),--quick)

clean:
	@if [ -x .venv/bin/sluicegate ]; then .venv/bin/sluicegate down >/dev/null || true; fi
	@rm -rf .venv .venv34 .uv .bench .sluicegate dist build .mypy_cache .ruff_cache .pytest_cache .hypothesis
