PYTHON ?= python3
BIN = .venv/bin

.PHONY: install check test test-gpu golden clean

install:  ## a virtual environment with the library, editable, and what its tests need
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install -e '.[test]'

check:  ## lint and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

test:  ## all tests; those that compare with PyTorch run where it is installed
	$(BIN)/python -m pytest

test-gpu:  ## the tests that need a CUDA GPU (and the extra cuda12 or cuda13)
	$(BIN)/python -m pytest -m gpu -rs

golden:  ## make the golden vectors again (needs PyTorch)
	$(BIN)/python tests/golden/make_golden.py

clean:
	rm -rf .venv build dist .mypy_cache .ruff_cache .pytest_cache
