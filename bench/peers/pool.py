# SPDX-License-Identifier: MIT
"""Python's pools, as bench/pool_bench.c does ours: two workers, one item a message."""
import concurrent.futures
import multiprocessing
import sys
import time

WORKERS = 2
BATCH = 1000
ROUNDS = 5
LEAST = 40_000_000  # ns


def add_one(number):
    return number + 1


def thread_get(pool, n):
    for i in range(n):
        assert pool.submit(add_one, i).result() == i + 1


def thread_batch(pool, n):
    for _ in range(0, n, BATCH):
        futures = [pool.submit(add_one, i) for i in range(BATCH)]
        for i, future in enumerate(futures):
            assert future.result() == i + 1


def process_call(pool, n):
    for i in range(n):
        assert pool.apply(add_one, (i,)) == i + 1


def process_map(pool, n):
    for _ in range(0, n, BATCH):
        assert pool.map(add_one, range(BATCH), chunksize=1)[-1] == BATCH


def measure(work, pool):
    n = 1000
    printed = -1
    while printed < ROUNDS:
        start = time.perf_counter_ns()
        work(pool, n)
        took = time.perf_counter_ns() - start
        if took < LEAST:
            n *= 2
            continue
        if printed >= 0:
            print(f'{took / n:.3f}')
        printed += 1


def main():
    name = sys.argv[1]
    if name.startswith('thread'):
        with concurrent.futures.ThreadPoolExecutor(WORKERS) as pool:
            measure({'thread_get': thread_get, 'thread_batch': thread_batch}[name], pool)
    else:
        with multiprocessing.get_context('fork').Pool(WORKERS) as pool:
            measure({'process_call': process_call, 'process_map': process_map}[name], pool)


if __name__ == '__main__':
    main()
