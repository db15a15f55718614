PYTHON ?= python3
BIN = .venv/bin

.PHONY: install check test test-gpu sanitize-gpu lessons golden clean

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

lessons:  ## run every lesson from top to bottom, and print how long each took
	$(BIN)/python -m pytest tests/test_lessons.py -k from_top_to_bottom -q -s

sanitize-gpu:  ## every CUDA kernel under compute-sanitizer's four tools (it comes with the CUDA toolkit)
	for tool in memcheck racecheck initcheck synccheck; do \
		echo $$tool; compute-sanitizer --tool $$tool --error-exitcode 1 $(BIN)/python tests/gpu_small_run.py || exit 1; \
	done

golden:  ## make the golden vectors again (needs PyTorch)
	$(BIN)/python tests/golden/make_golden.py

clean:
	rm -rf .venv build dist .mypy_cache .ruff_cache .pytest_cache
