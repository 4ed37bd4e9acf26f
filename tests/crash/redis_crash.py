#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""redis_crash.py BUILD [--celery] [--seed N] [KIND=TIMES...]

Tasks with a ledger run on Redis (append-only, always synced) while things break:

    worker=15   the worker is killed with SIGKILL
    child=15    one of its task processes is
    term=5      the worker is told to stop, and another started
    window=5    the worker is killed between an answer of Redis and what it says next: after a
                wait for work has been answered, or before the answer to a take has come
    redis=2     Redis is killed and started again
    stall=1     Redis is stopped for 1 to STALL (3) seconds

At the end all that was confirmed to the producer must have been executed; how often a task ran
twice is printed. With --celery a Celery worker (late acknowledgement, prefork) runs the same
tasks: a control that shows that the test can fail, and passes if tasks were lost. What a killed
one had noted, and Redis still knows, does not count as lost.
"""
import argparse
import base64
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

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from redis_proxy import Proxy  # noqa: E402
from redis_server import RedisServer  # noqa: E402

PYTHON = '/usr/bin/python3'
KINDS = {'worker': 15, 'child': 15, 'term': 5, 'window': 5, 'redis': 2, 'stall': 1}
PAUSE = (0.1, 0.6)  # seconds between two events
RATE = 150          # tasks a second
BURST = 20          # tasks for one forced window
DRAIN_LIMIT = 240
HELD_LIMIT = 60
CELERY_QUIET = 3
PROGRESS = 20  # seconds between two lines that tell of it
LISTS = ('celery', 'celery\x06\x163', 'celery\x06\x166', 'celery\x06\x169')
CELERY_APP = '''
import os
from celery import Celery
app = Celery('crash', broker=os.environ['SANJAB_BROKER_URL'], backend=os.environ['SANJAB_BROKER_URL'])
app.conf.update(task_acks_late=True, task_reject_on_worker_lost=True,
                broker_transport_options={'visibility_timeout': 3600})

def note(what, number):
    fd = os.open(os.environ['LEDGER'], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.write(fd, b'%s %d 0 %d\\n' % (what, number, os.getpid()))
    os.fdatasync(fd)
    os.close(fd)

@app.task(name='crash.ledger')
def ledger(number):
    note(b'begin', number)
    note(b'end', number)
'''


class World:
    def __init__(self, folder, build, celery, server, proxy, stall):
        self.folder, self.build, self.celery = folder, build, celery
        self.server, self.proxy, self.stall_max = server, proxy, stall
        self.env = dict(os.environ, LEDGER=f'{folder}/ledger', HOME=str(folder),
                        SANJAB_BROKER_URL=f'redis://127.0.0.1:{proxy.port}/0',
                        PYTHONPATH=str(folder))
        self.direct = f'redis://127.0.0.1:{server.port}/0'
        self.log = open(folder / 'log', 'ab')
        self.worker = self.producer = None
        self.seen_size, self.seen_at = 0, time.monotonic()
        self.last = 0  # the last number that is to be published so far
        if celery:
            (folder / 'crash_app.py').write_text(CELERY_APP)

    # Who takes part.

    def start_worker(self):
        name = f'w{time.monotonic_ns()}@crash'
        if self.celery:
            command = [PYTHON, '-m', 'celery', '-A', 'crash_app', 'worker', '-P', 'prefork', '-c',
                       '2', '-n', name, '-l', 'warning', '--without-gossip', '--without-mingle']
        else:
            command = [self.build / 'sanjab', 'worker', '-A',
                       self.build / 'tests/libledger_tasks.so', '-P', 'prefork', '-c', '2', '-n',
                       name, '-l', 'warning']
        self.worker = subprocess.Popen(command, env=self.env, cwd=self.folder,
                                       stdin=subprocess.DEVNULL, stdout=self.log,
                                       stderr=self.log, start_new_session=True)

    def end_worker(self):
        """Killed, with all its processes: Celery's children outlive their parent."""
        self.worker.kill()
        if self.celery:
            try:
                os.killpg(self.worker.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        self.worker.wait()

    def numbers(self, name):
        path = self.folder / name
        # A line that was cut by a kill has no end.
        return [int(n) for n in path.read_text().split('\n')[:-1]] if path.exists() else []

    def publish(self, n):
        """Lets n tasks more be published, in the background."""
        self.last += n
        self.tend_producer()

    def tend_producer(self):
        """Starts the producer (again) while something is to be published; whether it is."""
        if self.producer and self.producer.poll() is None:
            return True
        attempted = self.numbers('attempted')
        first = max(attempted) + 1 if attempted else 1
        if first > self.last:
            self.producer = None
            return False
        self.producer = subprocess.Popen(
            [self.build / 'tests/ledger_producer', self.direct, str(first), str(self.last),
             str(RATE), self.folder / 'published', self.folder / 'attempted'],
            stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log)
        return True

    def task_processes(self):
        def children(pid):
            try:
                text = pathlib.Path(f'/proc/{pid}/task/{pid}/children').read_text()
            except OSError:
                return []
            return [int(p) for p in text.split()]
        below = children(self.worker.pid)
        return below if self.celery else [c for zygote in below for c in children(zygote)]

    # What breaks. Each returns whether it happened.

    def do_worker(self, _):
        self.end_worker()
        self.start_worker()
        return True

    def do_child(self, rng):
        pids = self.task_processes()
        if not pids:
            return False
        try:
            os.kill(rng.choice(pids), signal.SIGKILL)
        except ProcessLookupError:
            return False
        return True

    def do_term(self, _):
        self.worker.terminate()
        try:
            self.worker.wait(60)
        except subprocess.TimeoutExpired:
            raise SystemExit('the worker has not stopped within 60 s of SIGTERM')
        self.start_worker()
        return True

    def do_redis(self, rng):
        self.server.kill()
        time.sleep(rng.uniform(0.05, 0.5))
        self.server.restart()
        return True

    def do_stall(self, rng):
        self.server.pause()
        time.sleep(rng.uniform(1, self.stall_max))
        self.server.resume()
        return True

    def do_window(self, rng):
        self.settle_down()
        waits = b'BRPOP' if self.celery else b'BLMOVE'
        reply = self.celery or rng.random() < 0.5
        self.proxy.hold_when(waits if reply else b'EVALSHA', reply)
        self.publish(BURST)
        held = self.proxy.held.wait(HELD_LIMIT)
        self.end_worker()
        self.proxy.release()
        self.start_worker()
        if not held:
            raise SystemExit(f'the worker has sent no {waits} within {HELD_LIMIT} s')
        return True

    # The end.

    def left(self):
        try:
            return sum(self.server.ask('LLEN', key) for key in LISTS) + \
                self.server.ask('HLEN', 'unacked')
        except (OSError, TypeError) as error:
            return f'unknown: {error}'

    def kept(self):
        """The numbers of the messages that Redis still has, waiting or noted as delivered."""
        texts = [t for key in LISTS for t in self.server.ask('LRANGE', key, 0, -1)]
        noted = self.server.ask('HGETALL', 'unacked')[1::2]
        envelopes = [json.loads(t) for t in texts] + [json.loads(t)[0] for t in noted]
        return {json.loads(base64.b64decode(e['body']))[0][0] for e in envelopes}

    def is_quiet(self):
        """
        Nothing is left to be done; or, since Celery comes back to what a dead worker had only
        after minutes: nothing waits, and nothing has been done for a while.
        """
        if not self.celery:
            return self.left() == 0
        ledger = self.folder / 'ledger'
        size = ledger.stat().st_size if ledger.exists() else 0
        if size != self.seen_size or any(self.server.ask('LLEN', key) for key in LISTS):
            self.seen_size, self.seen_at = size, time.monotonic()
        return time.monotonic() - self.seen_at > CELERY_QUIET

    def settle_down(self):
        """All that was to be published is, and nothing is left to be done."""
        end = time.monotonic() + DRAIN_LIMIT
        while self.tend_producer() or not self.is_quiet():
            if time.monotonic() > end:
                raise SystemExit(f'not drained after {DRAIN_LIMIT} s: {self.left()} messages left')
            if self.worker.poll() is not None:
                if not self.celery:
                    raise SystemExit(f'the worker has ended by itself: see {self.folder}/log')
                self.start_worker()
            time.sleep(0.1)

    def stop(self):
        if self.worker and self.worker.poll() is None:
            self.end_worker()
        if self.producer and self.producer.poll() is None:
            self.producer.kill()
            self.producer.wait()


def judge(world, seed, happened):
    ended = {}
    for line in (world.folder / 'ledger').read_text().split('\n')[:-1]:
        what, number, *_ = line.split(' ')
        if what == 'end':
            ended[int(number)] = ended.get(int(number), 0) + 1
    published, attempted = world.numbers('published'), set(world.numbers('attempted'))
    kept = world.kept()
    lost = [n for n in published if n not in ended and n not in kept]
    ghosts = [n for n in ended if n not in attempted]
    twice = sum(1 for n in ended.values() if n > 1)
    print(f'seed {seed}, {"Celery" if world.celery else "sanjab"}: ' +
          ', '.join(f'{n} x {k}' for k, n in happened.items()) +
          f'; {len(published)} confirmed, {len(ended)} executed, ' +
          f'{len(kept)} still kept, lost {len(lost)}, {twice} executed twice, ' +
          f'{len(ghosts)} from nowhere')
    # The control is to show that the test can fail.
    return bool(lost) if world.celery else not lost and not ghosts


def run(world, rng, kinds):
    """All events in a random order, but for the windows, which need a quiet queue: at the end."""
    events = [k for k, n in kinds.items() if k != 'window' for _ in range(n)]
    rng.shuffle(events)
    events += ['window'] * kinds['window']
    happened = {k: 0 for k, n in kinds.items() if n}
    told = time.monotonic()
    world.start_worker()
    for event in events:
        end = time.monotonic() + 60
        while True:
            if event != 'window':
                world.publish(int(RATE * sum(PAUSE) / 2))
                time.sleep(rng.uniform(*PAUSE))
            if world.worker.poll() is not None and not world.celery:
                raise SystemExit(f'the worker has ended by itself: see {world.folder}/log')
            if getattr(world, 'do_' + event)(rng):
                break
            if time.monotonic() > end:
                raise SystemExit(f'for a minute there was nothing to kill for "{event}"')
        happened[event] += 1
        if time.monotonic() - told > PROGRESS:
            told = time.monotonic()
            print(f'{sum(happened.values())} of {len(events)} events, '
                  f'{len(world.numbers("published"))} tasks confirmed', flush=True)
    world.settle_down()
    return happened


def arguments():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument('build', type=lambda p: pathlib.Path(p).resolve())
    parser.add_argument('--celery', action='store_true')
    parser.add_argument('--seed', type=int, default=1)
    parser.add_argument('--stall', type=float, default=3)
    parser.add_argument('kinds', nargs='*')
    options = parser.parse_intermixed_args()
    kinds = dict(KINDS)
    for word in options.kinds:
        kind, _, times = word.partition('=')
        if kind not in kinds or not times.isdigit():
            parser.error(f"'{word}' is not KIND=TIMES; the kinds are {', '.join(kinds)}")
        kinds[kind] = int(times)
    return options, kinds


def main():
    options, kinds = arguments()
    folder = pathlib.Path(tempfile.mkdtemp(prefix='sanjab-redis-crash-'))
    good = False
    with RedisServer('--appendonly', 'yes', '--appendfsync', 'always') as server, \
            Proxy('127.0.0.1', server.port) as proxy:
        world = World(folder, options.build, options.celery, server, proxy, options.stall)
        try:
            happened = run(world, random.Random(options.seed), kinds)
            good = judge(world, options.seed, happened)
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
