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

# All but what needs Celery, which is a stage of its own: `.ci/run interop`.
test: build
	@scripts/test-in build --no-suite interop

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

# The same checks as before a change is landed, and longer: an hour for each fuzz target, with
# other inputs each day, and 40 times the seeds for every test that runs under the simulator
# (200,000 for each scenario).
nightly:
	@SANJAB_SEEDS=20000 FUZZ_SECONDS=3600 FUZZ_SEED=$$(date +%j) CRASH_KILLS=200 PATIENCE=40 \
	REDIS_CUTS='0 --jobs 4' REDIS_CONTROL='worker=30 window=10' \
	REDIS_CRASH='--seed '$$(date +%j)' --stall 30 worker=300 child=300 term=100 window=100 redis=50 stall=20' .ci/run

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
	@$(if $(DESTDIR),:,scripts/refresh-linker $(abspath $(PREFIX))/lib)

clean:
	rm -rf build build-*
