# SPDX-License-Identifier: MIT
"""The tasks of bench/redis_tasks.c, for a worker of Celery's; and Celery's own client.

  celery_tasks.py publish|round_trip|one URL     as bench/redis_client.c
"""
import os
import statistics
import sys
import time

import celery

URL = os.environ.get('BENCH_URL', 'redis://')
app = celery.Celery('bench', broker=URL, backend=URL)
app.conf.broker_connection_retry = True


@app.task(name='noop', ignore_result=True)
def noop():
    pass


@app.task(name='add')
def add(a, b):
    return a + b


WINDOW = 256
PUBLISHED = 1500
TRIPS = 1000
ONES = 300


def rates(work, n):
    work(n // 4)
    for _ in range(3):
        start = time.perf_counter()
        work(n)
        print(f'{n / (time.perf_counter() - start):.0f}', flush=True)


def publish(n):
    for _ in range(n):
        noop.delay()


def round_trip(n):
    """WINDOW in flight: as many are called, then the oldest is awaited for each further one."""
    flying = []
    for i in range(n):
        if len(flying) == WINDOW:
            flying.pop(0).get(timeout=60)
        flying.append(add.delay(i, 3))
    for result in flying:
        result.get(timeout=60)


def one():
    took = []
    for i in range(ONES + 20):
        start = time.perf_counter()
        assert add.delay(i, 3).get(timeout=60) == i + 3
        took.append(time.perf_counter() - start)
    print(f'{statistics.median(took[20:]) * 1e6:.1f}')


def main():
    if sys.argv[1] == 'publish':
        rates(publish, PUBLISHED)
    elif sys.argv[1] == 'round_trip':
        rates(round_trip, TRIPS)
    else:
        one()


if __name__ == '__main__':
    main()
