# SPDX-License-Identifier: MIT
#
# The front door. Each target is a few words for what stands in scripts/ and in the meson.build
# files; the build itself is Meson's. `make test` and `make demo` need nothing but a Debian 12
# with make: they install the rest, after saying what.

PREFIX ?= /usr/local
SECONDS ?= 30

.PHONY: all build demo test bench asan tsan valgrind fuzz aarch64 clang format install nightly \
        check ci clean

all: build

build:
	@scripts/bootstrap build
	@scripts/configure build
	@ninja -C build

demo: build
	@scripts/demo

test: build
	@scripts/test-in build

bench:
	@scripts/bootstrap build bench
	@bench/run

asan tsan clang:
	@scripts/bootstrap build ci
	@scripts/test-in build-$@

aarch64:
	@scripts/bootstrap build ci
	@scripts/test-aarch64
	@scripts/test-in build-aarch64 --suite unit

valgrind:
	@scripts/bootstrap build ci
	@scripts/test-in build-valgrind --suite unit

fuzz:
	@scripts/bootstrap build ci
	@scripts/fuzz $(SECONDS)

# The same checks as before a change is landed, and longer: an hour for each fuzz target, and 40
# times the seeds for every test that runs under the simulator.
nightly:
	@SANJAB_SEEDS=20000 FUZZ_SECONDS=3600 CRASH_KILLS=200 PATIENCE=40 .ci/run

format:
	@scripts/bootstrap build ci
	@scripts/check-format --fix

check: build
	@scripts/bootstrap ci
	@scripts/check-layers
	@scripts/check-seam
	@scripts/check-format

ci:
	@.ci/run

install:
	@scripts/bootstrap build
	@scripts/configure build-release --prefix=$(abspath $(PREFIX))
	@meson configure build-release --prefix=$(abspath $(PREFIX))
	@ninja -C build-release
	@meson install -C build-release --no-rebuild $(if $(DESTDIR),--destdir $(abspath $(DESTDIR)))

clean:
	rm -rf build build-*
