# From a bare machine: `make demo` or `make test`. Each sets up what is missing first; the second time takes seconds.
.PHONY: setup build test lint types demo clean

setup:
	@scripts/setup.sh

build: setup

test: setup
	scripts/run python -m pytest
	scripts/test_other_pythons.sh

lint: setup
	scripts/run ruff check .
	scripts/run ruff format --check .

types: setup
	scripts/run mypy

demo: setup
	./wam demo

clean:
	rm -rf build install log out .cache
