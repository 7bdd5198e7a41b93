# From a bare machine: `make demo`, `make demo-car` or `make test`. Each sets up what is missing first; the second time takes seconds.
.PHONY: setup build test lint types demo demo-car clean

setup:
	@scripts/setup.sh

build: setup

# What uses neither a network nor the clock runs side by side; nodes and processes then have the machine to themselves.
SIDE_BY_SIDE := models/test src/wam_sim/test src/wam_tools/test tests/architecture
ALONE := $(filter-out $(SIDE_BY_SIDE),$(wildcard src/*/test tests/*)) \
    $(wildcard src/wam_sim/test/test_virtual_*.py) src/wam_tools/test/test_bench_bridge.py

test: setup
	OMP_NUM_THREADS=1 scripts/run python -m pytest -n 2 --dist loadfile $(SIDE_BY_SIDE) \
	    --ignore-glob='*/test_virtual_*.py' --ignore-glob='*/test_bench_bridge.py'
	scripts/run python -m pytest $(ALONE)
	scripts/test_other_pythons.sh

lint: setup
	scripts/run ruff check .
	scripts/run ruff format --check .

types: setup
	scripts/run mypy

demo: setup
	./wam demo

demo-car: setup
	./wam demo --car

clean:
	rm -rf build install log out .cache
