# From a bare machine: `make demo`, `make demo-car` or `make test`. Each sets up what is missing first; the second time takes seconds.
.PHONY: setup build test lint types demo demo-car clean

setup:
	@scripts/setup.sh

build: setup

# What uses neither a network nor the clock runs side by side; nodes, processes and what is timed then have the machine to
# themselves.
SIDE_BY_SIDE := models/test src/wam_sim/test src/wam_tools/test tests/architecture tests/replay
TIMED := $(wildcard src/wam_sim/test/test_virtual_*.py) $(wildcard src/wam_tools/test/test_bench_[bp]*.py)
ALONE := $(filter-out $(SIDE_BY_SIDE),$(wildcard src/*/test tests/*)) $(TIMED)

test: setup
	OMP_NUM_THREADS=1 scripts/run python -m pytest -n 2 --dist loadfile $(SIDE_BY_SIDE) $(TIMED:%=--ignore=%)
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
