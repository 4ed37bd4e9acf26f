# SPDX-License-Identifier: MIT
"""asyncio, as bench/fiber_bench.c does ours: the same numbers of tasks."""
import asyncio
import random
import sys
import time

YIELDERS = 100
BATCH = 100
PENDING, CALLS, MOMENTS = 1_000_000, 1024, 65536
ROUNDS = 5
LEAST = 40_000_000  # ns


yielded = 0


async def yield_on():
    global yielded
    while True:
        yielded += 1
        await asyncio.sleep(0)


async def yields(n):
    global yielded
    yielded = 0
    while yielded < n:
        await asyncio.sleep(0)


def some_time():
    return 1 + random.random() * 3600


ours, moments = [], []


async def timers(n):
    loop = asyncio.get_running_loop()
    for i in range(n):
        ours[i % CALLS].cancel()
        ours[i % CALLS] = loop.call_later(moments[i % MOMENTS], int)


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


def count(n):
    for i in range(n):
        yield i


async def generates(n):
    total = 0
    for i in count(n):
        total += i
    assert total == n * (n - 1) // 2


async def offloads(n):
    for _ in range(n):
        await asyncio.to_thread(int)


async def main():
    work = {'yield': yields, 'spawn_join': spawns, 'chan': chans, 'timer': timers,
            'generator': generates, 'offload': offloads}[sys.argv[1]]
    crowd = []  # lives for the whole run
    if sys.argv[1] == 'yield':
        yielders = int(sys.argv[2]) if len(sys.argv) > 2 else YIELDERS
        crowd = [asyncio.create_task(yield_on()) for _ in range(yielders)]
    if sys.argv[1] == 'timer':
        for _ in range(PENDING):
            asyncio.get_running_loop().call_later(some_time(), int)
        ours.extend(asyncio.get_running_loop().call_later(some_time(), int) for _ in range(CALLS))
        moments.extend(some_time() for _ in range(MOMENTS))
    n = 10 * len(crowd) or 1000
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
    for task in crowd:
        task.cancel()


asyncio.run(main())
