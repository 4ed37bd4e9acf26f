#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""worker_crash.py BUILD [KILLS [TASKS [SEED]]]

Kills worker, child and producer at random moments with SIGKILL while tasks with a ledger run on
an SQLite file. At the end all that was confirmed to the producer must have been executed (or lie
among the dead letters, which would be said); how often a task ran twice is printed.
"""
import json
import os
import pathlib
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time

BUILD = pathlib.Path(sys.argv[1]).resolve()
KILLS = int(sys.argv[2]) if len(sys.argv) > 2 else 20
TASKS = int(sys.argv[3]) if len(sys.argv) > 3 else 1000
SEED = int(sys.argv[4]) if len(sys.argv) > 4 else 1
PAUSE = (0.1, 0.7)  # seconds between two kills
DRAIN_LIMIT = 180


class World:
    def __init__(self, folder):
        self.folder = folder
        self.broker = f'sqlite:{folder}/queue.db'
        self.env = dict(os.environ, LEDGER=f'{folder}/ledger', SANJAB_BROKER_URL=self.broker)
        self.log = open(folder / 'log', 'ab')
        self.worker = self.producer = None
        self.rate = TASKS / (KILLS * sum(PAUSE) / 2 * 0.8 + 1)

    def start_worker(self):
        # The name of one that was killed is taken for a while: each has its own.
        name = f'w{time.monotonic_ns()}@crash'
        self.worker = subprocess.Popen(
            [BUILD / 'sanjab', 'worker', '-A', BUILD / 'tests/libledger_tasks.so', '-P', 'prefork',
             '-c', '2', '-n', name, '-l', 'warning'],
            env=self.env, stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log)

    def numbers(self, name):
        path = self.folder / name
        # A line that was cut by the kill has no end.
        return [int(n) for n in path.read_text().split('\n')[:-1]] if path.exists() else []

    def start_producer(self):
        attempted = self.numbers('attempted')
        first = max(attempted) + 1 if attempted else 1
        if first > TASKS:
            self.producer = None
            return
        self.producer = subprocess.Popen(
            [BUILD / 'tests/ledger_producer', self.broker, str(first), str(TASKS), str(self.rate),
             self.folder / 'published', self.folder / 'attempted'],
            stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log)

    def descendants(self):
        """The task processes of the worker: children of its zygote."""
        def children(pid):
            try:
                text = pathlib.Path(f'/proc/{pid}/task/{pid}/children').read_text()
            except OSError:
                return []
            return [int(p) for p in text.split()]
        return [c for z in children(self.worker.pid) for c in children(z)]

    def kill_one(self, rng):
        """What was killed, or None: the one that was chosen is not there at the moment."""
        kind = rng.choice(['worker', 'child', 'child', 'producer'])
        if kind == 'worker':
            self.worker.kill()
            self.worker.wait()
            self.start_worker()
        elif kind == 'child':
            pids = self.descendants()
            if not pids:
                return None
            try:
                os.kill(rng.choice(pids), signal.SIGKILL)
            except ProcessLookupError:
                return None
        elif not self.producer or self.producer.poll() is not None:
            return None
        else:
            self.producer.kill()
            self.producer.wait()
            self.start_producer()
        return kind

    def status(self):
        out = subprocess.run([BUILD / 'sanjab', 'status', '--json'], env=self.env,
                             stdout=subprocess.PIPE, stderr=self.log)
        return json.loads(out.stdout) if out.returncode == 0 else None

    def left(self):
        status = self.status()
        if status is None:
            return None
        return sum(q['ready'] + q['delayed'] + q['running'] for q in status['queues'])

    def drain(self):
        while self.producer:
            if self.producer.wait(DRAIN_LIMIT) != 0:
                raise SystemExit('the producer has failed')
            self.start_producer()
        end = time.monotonic() + DRAIN_LIMIT
        while self.left() != 0:
            if time.monotonic() > end:
                raise SystemExit(f'not drained after {DRAIN_LIMIT} s: {self.status()}')
            time.sleep(0.2)
        self.worker.terminate()
        self.worker.wait(DRAIN_LIMIT)

    def stop(self):
        for process in (self.worker, self.producer):
            if process and process.poll() is None:
                process.kill()
                process.wait()


def judge(world, kills):
    ended = {}
    for line in (world.folder / 'ledger').read_text().split('\n')[:-1]:
        what, number, *_ = line.split(' ')
        if what == 'end':
            ended[int(number)] = ended.get(int(number), 0) + 1
    published, attempted = world.numbers('published'), set(world.numbers('attempted'))
    lost = [n for n in published if n not in ended]
    ghosts = [n for n in ended if n not in attempted]
    twice = sum(1 for n in ended.values() if n > 1)
    dead = sum(q['dead'] for q in world.status()['queues'])
    print(f'seed {SEED}: {sum(kills.values())} kills ' +
          '(' + ', '.join(f'{n} {k}' for k, n in sorted(kills.items())) + f'), ' +
          f'{len(published)} confirmed, {len(ended)} executed, confirmed - executed = {len(lost)},' +
          f' {twice} executed twice, {dead} dead, {len(ghosts)} from nowhere')
    return not lost and not ghosts and not dead


def main():
    rng = random.Random(SEED)
    folder = pathlib.Path(tempfile.mkdtemp(prefix='sanjab-crash-'))
    world = World(folder)
    kills = {}
    good = False
    try:
        world.start_worker()
        world.start_producer()
        while sum(kills.values()) < KILLS:
            time.sleep(rng.uniform(*PAUSE))
            if world.worker.poll() is not None:
                raise SystemExit(f'the worker has ended by itself: see {folder}/log')
            kind = world.kill_one(rng)
            if kind:
                kills[kind] = kills.get(kind, 0) + 1
        world.drain()
        good = judge(world, kills)
    finally:
        world.stop()
        if good:
            shutil.rmtree(folder)
        else:
            print(f'what is left of it is in {folder}')
    print(f'{int(good)} passed, {int(not good)} failed')
    return 0 if good else 1


if __name__ == '__main__':
    sys.exit(main())
