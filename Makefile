PYTHON ?= python3
BIN = .venv/bin

.PHONY: install check test golden clean

install:  ## a virtual environment with the library, editable, and what its tests need
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install -e '.[test]'

check:  ## lint and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

test:  ## all tests; those that compare with PyTorch run where it is installed
	$(BIN)/python -m pytest

golden:  ## make the golden vectors again (needs PyTorch)
	$(BIN)/python tests/golden/make_golden.py

clean:
	rm -rf .venv build dist .mypy_cache .ruff_cache .pytest_cache
