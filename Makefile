# What people type. Each target installs what is missing first (Debian 12, as root).
JOBS ?= $(shell nproc)
export CMAKE_BUILD_PARALLEL_LEVEL := $(JOBS)

.PHONY: run build test test-unit test-e2e test-kafka test-browser test-fuzz test-mutants sanitize bench install clean help

help:  ## Show this list.
	@grep -E '^[a-z-]+:.*##' Makefile | sed -E 's/:.*## /\t/' | expand -t 16

run: build  ## Build, start with the built-in demo, print the dashboard's address.
	rm -rf build/demo  # Made-up history of an earlier run would contradict this one's.
	build/release/streamobs --config config/obs.toml --data-dir build/demo

build:  ## Build the release binary at build/release/streamobs.
	third_party/install.sh build
	cmake --preset release
	cmake --build --preset release --target streamobs

test: test-unit test-e2e test-browser  ## Build and run all tests.

test-unit:  ## Unit tests of every folder.
	third_party/install.sh test
	cmake --preset release
	cmake --build --preset release
	ctest --test-dir build/release --output-on-failure -j $(JOBS)

test-e2e: test-unit  ## Tests of the running binary: real input, real sockets, real SQLite.
	tests/e2e/run.sh

test-kafka:  ## Only those against a real Kafka broker (its jars come from Maven Central, once).
	third_party/install.sh test
	cmake --preset release
	cmake --build --preset release --target streamobs
	python3 -m pytest -q tests/e2e/test_kafka*.py

test-browser: test-unit  ## The dashboard in headless Chromium.
	tests/browser/run.sh

sanitize:  ## Unit tests under ASan+UBSan (g++), threaded ones under TSan (clang 19), short fuzzing.
	third_party/install.sh test
	cmake --preset asan
	cmake --build --preset asan
	ctest --test-dir build/asan --output-on-failure -j $(JOBS)
	cmake --preset tsan
	cmake --build --preset tsan --target threaded_tests
	ctest --test-dir build/tsan --output-on-failure -L threaded -j $(JOBS)
	$(MAKE) test-fuzz

test-fuzz:  ## Each fuzz target for 30 seconds (FUZZ_SECONDS=1200 for the long run).
	third_party/install.sh test
	cmake --preset fuzz
	cmake --build --preset fuzz --target fuzz_targets
	tests/fuzz/run.sh $(or $(FUZZ_SECONDS),30)

test-mutants:  ## Plant mistakes, one at a time, and see that the tests notice (some ten minutes).
	third_party/install.sh test
	tests/mutants/run.py --jobs $(JOBS)

bench:  ## Build and run the benchmarks (some minutes).
	third_party/install.sh test
	cmake --preset release -DSTREAMOBS_BENCH=ON
	cmake --build --preset release
	bench/run.sh

install: build  ## Install the binary and the embedding package below PREFIX (default /usr/local).
	cmake --build --preset release
	cmake --install build/release --prefix $(or $(PREFIX),/usr/local)

clean:  ## Remove everything that was built.
	rm -rf build
