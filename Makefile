# The only entry: `make demo` and `make test` do all set-up by themselves.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
SOURCES := $(shell find native src -name '*.cc' -o -name '*.h' -o -name '*.inc' -o -name 'CMakeLists.txt' 2>/dev/null)
# pip's CPU build of torch is the small one at exactly this version.
TORCH  := torch==2.13.0

.PHONY: demo test lint format type bench faults bits replay operators fuzz fuzz-short sanitize tsan ci nightly clean

demo: $(VENV)/.tools
	$(BIN)/bittrue demo --output demo

test: $(VENV)/.dev
	$(BIN)/python -m pytest -n auto --dist worksteal
	@echo "make test leaves out: format, lint and types (make ci); what is marked nightly, sanitizers, \
	long fuzzing, a billion bytes on every instruction set, the table of networks (make nightly)."

lint: $(VENV)/.dev
	$(BIN)/ruff format --check src tests bench examples
	$(BIN)/ruff check src tests bench examples
	$(BIN)/clang-format --dry-run --Werror $$(git ls-files 'native/*.cc' 'native/*.h' 'examples/c/*.c')
	$(BIN)/lint-imports --config .importlinter

format: $(VENV)/.dev
	$(BIN)/ruff format src tests bench examples
	$(BIN)/ruff check --fix src tests bench examples
	$(BIN)/clang-format -i $$(git ls-files 'native/*.cc' 'native/*.h' 'examples/c/*.c')

type: $(VENV)/.dev
	$(BIN)/mypy

bench: $(VENV)/.dev
	$(BIN)/python bench/networks.py

# Devices with planted mistakes, and how many `bittrue diagnose` names: docs/faults.md.
faults: $(VENV)/.dev
	$(BIN)/python -m bench.faults all --page

# docs/operators.md from ONNX's own test cases and the tables in the code.
operators: $(VENV)/.dev
	$(BIN)/python -m bench.operators

# A compiler with libFuzzer if there is one; with another, the same programs run without coverage.
FUZZ_CXX  ?= $(shell command -v clang++ || command -v g++)
FUZZ_RUNS ?= 10000000

# Damaged files against every reader, and thousands of random programs and networks. Hours.
fuzz: $(VENV)/.dev
	$(BIN)/cmake -S . -B build/fuzz/long -DBITTRUE_FUZZ=ON -DCMAKE_CXX_COMPILER=$(FUZZ_CXX)
	$(BIN)/cmake --build build/fuzz/long --parallel
	$(BIN)/python -m tests.kernels.seeds build/fuzz/seeds
	mkdir -p build/fuzz/open build/fuzz/interface build/fuzz/found
	build/fuzz/long/open_fuzzer -runs=$(FUZZ_RUNS) -seed=1 -max_len=4096 -timeout=20 -entropic=0 \
		-artifact_prefix=build/fuzz/found/ build/fuzz/open build/fuzz/seeds/open
	build/fuzz/long/interface_fuzzer -runs=$$(($(FUZZ_RUNS) / 10)) -seed=1 -max_len=4096 -timeout=20 \
		-entropic=0 -artifact_prefix=build/fuzz/found/ build/fuzz/interface build/fuzz/seeds/interface
	$(BIN)/python -m tests.kernels.hostile 2000
	$(BIN)/python -m tests.format.mutate 20000
	HYPOTHESIS_PROFILE=thorough $(BIN)/python -m pytest -n auto tests/property

# The same without libFuzzer, from fixed seeds; seconds once it is built.
fuzz-short: $(VENV)/.dev
	$(BIN)/cmake -S . -B build/fuzz/short -DBITTRUE_FUZZ=ON -DCMAKE_CXX_COMPILER=g++
	$(BIN)/cmake --build build/fuzz/short --parallel
	$(BIN)/python -m tests.kernels.seeds build/fuzz/seeds
	build/fuzz/short/open_fuzzer -runs=100000 -seed=1 build/fuzz/seeds/open
	build/fuzz/short/interface_fuzzer -runs=20000 -seed=1 build/fuzz/seeds/interface
	$(BIN)/python -m tests.format.mutate 50

# The whole suite on an engine with AddressSanitizer and UndefinedBehaviorSanitizer; Python's own
# leaks are not ours. The libraries that Python loads were linked without the sanitizers, so their
# order and their equal names are not checked; a short quarantine keeps PyTorch within memory.
sanitize: $(VENV)/.dev
	$(BIN)/cmake -S . -B build/sanitize -DBITTRUE_SANITIZE=ON
	$(BIN)/cmake --build build/sanitize --parallel
	LD_PRELOAD="$$(g++ -print-file-name=libasan.so) $$(g++ -print-file-name=libubsan.so)" \
	ASAN_OPTIONS=detect_leaks=0:allocator_may_return_null=1:detect_odr_violation=0:verify_asan_link_order=0:quarantine_size_mb=16:max_malloc_fill_size=0:malloc_context_size=5 \
	BITTRUE_LIBRARY=$(CURDIR)/build/sanitize/libbittrue.so \
	$(BIN)/python -m pytest -n auto --dist worksteal

# Threads under ThreadSanitizer, without Python in the process.
tsan: $(VENV)/.dev
	$(BIN)/cmake -S . -B build/tsan -DBITTRUE_SANITIZE_THREAD=ON
	$(BIN)/cmake --build build/tsan --parallel
	$(BIN)/python -m tests.kernels.seeds build/fuzz/seeds
	build/tsan/threads_driver 20 build/fuzz/seeds/open/*

# A billion output bytes of NumPy against every instruction set that can run here.
bits: $(VENV)/.dev
	$(BIN)/python -m tests.bits

# Does this tree make the same bytes, reports and error texts as another revision?
# make replay REV=main~3 [QUICK=--quick]
REV ?= HEAD
replay: $(VENV)/.dev
	$(BIN)/python -m tests.replay $(QUICK) $(REV)

ci: lint type test fuzz-short tsan
	@echo "make ci leaves out what make nightly runs."

# What takes longer than half an hour, all of it.
nightly: ci sanitize tsan fuzz bits bench
	$(BIN)/python -m pytest -n auto --dist worksteal --tier nightly -m nightly

clean:
	rm -rf build dist demo .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache

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
