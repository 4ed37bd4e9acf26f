#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""redis_cuts.py BUILD [CUTS [SEED]] [--start] [--jobs N] [--part K/N]

A worker's conversation with Redis (connect, wait, take, run, settle) is cut at every byte, in both
directions; with CUTS only at so many of them, by chance. After each cut all tasks must come to
their results: nothing is lost, and nothing hangs. How long it takes until the worker is connected
again is printed. With --start each conversation is that of a new worker, from its first word on.
So many JOBS (1), each a server and a worker, share the cuts; more are quicker,
and take longer to connect. With K/N it is only the Kth part of N.
"""
import argparse
import collections
import os
import pathlib
import random
import subprocess
import sys
import tempfile
import shutil
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from redis_proxy import Proxy, TO_CLIENT, TO_SERVER  # noqa: E402
from redis_server import RedisServer  # noqa: E402

TASKS = 3         # in each conversation
# Seconds until all of them must have ended: less than a lease (30), so that what only comes back by
# the end of one counts as a hang.
ROUND_LIMIT = 20
PROGRESS = 20  # seconds between two lines that tell of it


class Stuck(Exception):
    """A conversation that did not come to its end."""


class Conversation:
    def __init__(self, options, folder, server, proxy):
        self.build, self.new_each = options.build, options.start
        self.folder, self.server, self.proxy = folder, server, proxy
        self.direct = f'redis://127.0.0.1:{server.port}/0'
        self.log = open(folder / 'log', 'ab')
        self.number = 0
        self.slowest = 0  # seconds that a conversation has taken
        self.worker = None
        self.start_worker()

    def start_worker(self):
        env = dict(os.environ, LEDGER=f'{self.folder}/ledger', HOME=str(self.folder))
        self.worker = subprocess.Popen(
            [self.build / 'sanjab', 'worker', '-A', self.build / 'tests/libledger_tasks.so', '-P',
             'prefork', '-c', '1', '-n', f'w{time.monotonic_ns()}@crash', '-l', 'warning', '-b',
             f'redis://127.0.0.1:{self.proxy.port}/0'],
            env=env, stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log)

    def stop_worker(self):
        if self.worker.poll() is None:
            self.worker.kill()
            self.worker.wait()

    def renew_worker(self):
        if self.new_each:
            self.stop_worker()
            self.start_worker()

    def publish(self):
        first, self.number = self.number + 1, self.number + TASKS
        subprocess.run([self.build / 'tests/ledger_producer', self.direct, str(first),
                        str(self.number), '0', self.folder / 'published',
                        self.folder / 'attempted'], check=True, stdin=subprocess.DEVNULL,
                       stdout=self.log, stderr=self.log)

    def confirmed(self):
        return {int(n) for n in (self.folder / 'published').read_text().split()}

    def executed(self):
        """How often each task came to its end."""
        path = self.folder / 'ledger'
        lines = path.read_text().split('\n')[:-1] if path.exists() else []
        return collections.Counter(int(line.split(' ')[1]) for line in lines
                                   if line.startswith('end '))

    def is_done(self):
        return len(self.executed()) >= self.number and \
            not self.server.ask('HLEN', 'unacked') and not self.server.ask('LLEN', 'celery')

    def wait_until(self, done, what):
        end = time.monotonic() + ROUND_LIMIT
        while not done():
            if self.worker.poll() is not None:
                raise Stuck(f'{what}: the worker has ended by itself')
            if time.monotonic() > end:
                raise Stuck(f'{what}: not within {ROUND_LIMIT} s; '
                            f'{self.number - len(self.executed())} tasks are not done')
            time.sleep(0.01)

    def measure(self):
        """The bytes of a conversation that nobody cuts, by direction."""
        self.publish()
        self.wait_until(self.is_done, 'the first conversation')
        self.proxy.count()
        self.renew_worker()
        self.publish()
        self.wait_until(self.is_done, 'the measured conversation')
        time.sleep(0.2)
        return dict(self.proxy.passed)

    def cut(self, direction, n):
        """Seconds until it was connected again."""
        begun = time.monotonic()
        if self.new_each:
            self.stop_worker()
        self.proxy.cut_after(direction, n)
        self.renew_worker()
        while True:
            self.publish()
            self.wait_until(self.is_done, f'cut {direction} after {n} bytes')
            self.slowest = max(self.slowest, time.monotonic() - begun)
            # A conversation may be a few bytes shorter than the one that was measured.
            if self.proxy.cut_at is not None:
                break
        self.wait_until(lambda: self.proxy.back_at is not None, 'connected again')
        return self.proxy.back_at - self.proxy.cut_at

    def stop(self):
        self.stop_worker()
        self.log.close()


class Tally:
    """What came of the cuts of all jobs."""
    def __init__(self):
        self.lock = threading.Lock()
        self.took, self.stuck = [], []
        self.confirmed = self.executed = self.lost = self.twice = self.slowest = 0

    def add(self, talk):
        confirmed, executed = talk.confirmed(), talk.executed()
        with self.lock:
            self.confirmed += len(confirmed)
            self.executed += len(executed)
            self.lost += len(confirmed - set(executed))
            self.twice += sum(1 for n in executed.values() if n > 1)
            self.slowest = max(self.slowest, talk.slowest)
        return confirmed <= set(executed)


def converse(options, tally, act):
    """One server and one worker, for act(conversation)."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix='sanjab-redis-cuts-'))
    good = False
    with RedisServer() as server, Proxy('127.0.0.1', server.port) as proxy:
        talk = Conversation(options, folder, server, proxy)
        try:
            act(talk)
            good = True
        except Stuck as stuck:
            tally.stuck.append(str(stuck))
            print(f'{stuck}: what is left of it is in {folder}', flush=True)
        finally:
            talk.stop()
            good = tally.add(talk) and good
            if good:
                shutil.rmtree(folder)


def work(options, places, tally):
    """Cuts until no place is left; after a failure, with a new worker."""
    def act(talk):
        while True:
            try:
                place = places.popleft()
            except IndexError:
                return
            tally.took.append(talk.cut(*place))

    while places:
        converse(options, tally, act)


def percentile(values, p):
    return sorted(values)[min(len(values) - 1, int(len(values) * p))] if values else 0


def places_of(sizes, options):
    part, _, parts = options.part.partition('/')
    places = [(d, n) for d in (TO_SERVER, TO_CLIENT)
              for n in range(int(part), sizes[d] + 1, int(parts))]
    if options.cuts:
        places = random.Random(options.seed).sample(places, min(options.cuts, len(places)))
    return collections.deque(places)


def cut_all(options, places, tally):
    jobs = [threading.Thread(target=work, args=(options, places, tally), daemon=True)
            for _ in range(options.jobs)]
    for job in jobs:
        job.start()
    told = time.monotonic()
    while any(job.is_alive() for job in jobs):
        time.sleep(0.1)
        if time.monotonic() - told > PROGRESS:
            told = time.monotonic()
            print(f'{len(tally.took)} cuts, {len(places)} to go', flush=True)


def arguments():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument('build', type=lambda p: pathlib.Path(p).resolve())
    parser.add_argument('cuts', type=int, nargs='?', default=0)
    parser.add_argument('seed', type=int, nargs='?', default=1)
    parser.add_argument('--start', action='store_true')
    parser.add_argument('--jobs', type=int, default=1)
    parser.add_argument('--part', default='1/1')
    return parser.parse_args()


def main():
    options, tally, sizes = arguments(), Tally(), {}
    converse(options, tally, lambda talk: sizes.update(talk.measure()))
    places = places_of(sizes, options) if sizes else collections.deque()
    wanted = len(places)
    cut_all(options, places, tally)
    print(f'{len(tally.took)} of {wanted} cuts in a conversation of {sizes.get(TO_SERVER)} bytes '
          f'to the server and {sizes.get(TO_CLIENT)} to the client: {tally.confirmed} confirmed, '
          f'{tally.executed} executed, {tally.lost} lost, {tally.twice} executed twice, '
          f'{len(tally.stuck)} hung; connected again after '
          f'{percentile(tally.took, 0.5) * 1000:.0f} ms (p50), '
          f'{percentile(tally.took, 0.99) * 1000:.0f} ms (p99); the slowest conversation took '
          f'{tally.slowest:.1f} s')
    good = 0 < wanted == len(tally.took) and not tally.lost
    print(f'{int(good)} passed, {int(not good)} failed')
    return 0 if good else 1


if __name__ == '__main__':
    sys.exit(main())
