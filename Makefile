# The only entry: `make demo` and `make test` do all set-up by themselves.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
SOURCES := $(shell find native src -name '*.cc' -o -name '*.h' -o -name '*.inc' 2>/dev/null)
# pip's CPU build of torch is the small one at exactly this version.
TORCH  := torch==2.13.0

.PHONY: demo test lint format type bench bits fuzz sanitize ci nightly clean

demo: $(VENV)/.tools
	$(BIN)/bittrue demo --output demo

test: $(VENV)/.dev
	$(BIN)/python -m pytest -n auto --dist worksteal
	@echo "make test leaves out: format, lint and types (make ci); what is marked nightly, sanitizers, \
	long fuzzing, a billion bytes on every instruction set, the table of networks (make nightly)."

lint: $(VENV)/.dev
	$(BIN)/ruff format --check src tests bench examples
	$(BIN)/ruff check src tests bench examples
	$(BIN)/clang-format --dry-run --Werror $$(git ls-files 'native/*.cc' 'native/*.h')
	$(BIN)/lint-imports --config .importlinter

format: $(VENV)/.dev
	$(BIN)/ruff format src tests bench examples
	$(BIN)/ruff check --fix src tests bench examples
	$(BIN)/clang-format -i $$(git ls-files 'native/*.cc' 'native/*.h')

type: $(VENV)/.dev
	$(BIN)/mypy

bench: $(VENV)/.dev
	$(BIN)/python bench/networks.py

# Damaged files against both readers, and thousands of random programs and networks.
fuzz: $(VENV)/.dev
	$(BIN)/python -m tests.kernels.hostile 2000
	HYPOTHESIS_PROFILE=thorough $(BIN)/python -m pytest -n auto tests/property

# The engine under AddressSanitizer and UndefinedBehaviorSanitizer; Python's own leaks are not ours.
sanitize: $(VENV)/.dev
	$(BIN)/cmake -S . -B build/sanitize -DBITTRUE_SANITIZE=ON
	$(BIN)/cmake --build build/sanitize --parallel
	LD_PRELOAD="$$(g++ -print-file-name=libasan.so) $$(g++ -print-file-name=libubsan.so)" \
	ASAN_OPTIONS=detect_leaks=0:allocator_may_return_null=1 BITTRUE_LIBRARY=$(CURDIR)/build/sanitize/libbittrue.so \
	$(BIN)/python -m pytest -n auto tests/kernels tests/format tests/property tests/unit/test_native.py

# A billion output bytes of NumPy against every instruction set that can run here.
bits: $(VENV)/.dev
	$(BIN)/python -m tests.bits

ci: lint type test
	@echo "make ci leaves out what make nightly runs."

# What takes longer than half an hour, all of it.
nightly: ci sanitize fuzz bits bench
	$(BIN)/python -m pytest -n auto --dist worksteal --tier nightly -m nightly

clean:
	rm -rf build dist demo .pytest_cache .mypy_cache .ruff_cache .hypothesis

$(VENV)/.pip:
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --upgrade pip
	touch $@

$(VENV)/.tools: $(VENV)/.pip pyproject.toml CMakeLists.txt $(SOURCES)
	$(BIN)/pip install --quiet --editable ".[tools]"
	touch $@

$(VENV)/.dev: $(VENV)/.tools
	$(BIN)/pip install --quiet $(TORCH)
	$(BIN)/pip install --quiet --editable ".[tools,torch,dev]"
	touch $@
