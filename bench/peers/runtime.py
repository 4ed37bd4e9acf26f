# SPDX-License-Identifier: MIT
"""asyncio, as bench/fiber_bench.c does ours: the same numbers of tasks."""
import asyncio
import sys
import time

YIELDERS = 100
BATCH = 100
ROUNDS = 5
LEAST = 40_000_000  # ns


async def yields(n):
    async def one():
        for _ in range(n // YIELDERS):
            await asyncio.sleep(0)
    await asyncio.gather(*[one() for _ in range(YIELDERS)])


async def spawns(n):
    async def nothing():
        pass
    for _ in range(0, n, BATCH):
        for task in [asyncio.create_task(nothing()) for _ in range(BATCH)]:
            await task


async def chans(n):
    line = asyncio.Queue(1)  # the least that it has: 0 would be without a limit

    async def sender():
        for i in range(n):
            await line.put(i)
    task = asyncio.create_task(sender())
    total = 0
    for _ in range(n):
        total += await line.get()
    await task
    assert total == n * (n - 1) // 2


async def main():
    work = {'yield': yields, 'spawn_join': spawns, 'chan': chans}[sys.argv[1]]
    n = 1000
    printed = -1
    while printed < ROUNDS:
        start = time.perf_counter_ns()
        await work(n)
        took = time.perf_counter_ns() - start
        if took < LEAST:
            n *= 2
            continue
        if printed >= 0:
            print(f'{took / n:.3f}')
        printed += 1


asyncio.run(main())
