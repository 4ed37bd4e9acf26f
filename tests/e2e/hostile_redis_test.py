#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""A worker and a client whose Redis answers what it should not, at every place of what they say.

The worker lives, its memory stays within bounds, and when Redis is sane again all tasks are done,
well before a lease would have run out. A client's call has an end, and what it was told is so.
HOSTILE_ONLY, if given, is a part of the names of the cases to be run.

A case is a kind of command, or of what is told without one, with all the answers for it. They run
side by side, in worlds of a worker each, since most of the time somebody waits.
"""
import concurrent.futures
import hashlib
import importlib.machinery
import importlib.util
import json
import os
import pathlib
import re
import select
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import tap  # noqa: E402
from hostile_redis import HostileRedis  # noqa: E402
from redis_server import RedisServer  # noqa: E402

BUILD = pathlib.Path(os.environ['BUILD']).resolve()
ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
SANJAB = BUILD / 'sanjab'
CALLER = BUILD / 'tests' / 'interop_caller'
TASKS = BUILD / 'tests' / 'libinterop_tasks.so'
PATIENCE = 15  # seconds; less than a lease, so that what only comes back by its end is a failure
CALL_LIMIT = 10  # of a client
SILENCE = 1  # of the watchdog
MEMORY = 64  # MiB that a worker may ever have had
MEMORY_LARGE = 640  # the same, when it was sent a reply that is as large as one may be
PIECE = 1 << 20

# No Redis would say this.
BROKEN = {
    'nonsense': b'\x00\xff\x17 no Redis\r\n',
    'another_protocol': b'HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n',
    'no_sign': b'\r\n',
    'count_of_2_to_31': b'*2147483648\r\n',
    'count_below_2_to_31': b'*2147483647\r\n',
    'count_of_2_to_63': b'*9223372036854775807\r\n',
    'count_of_minus_2': b'*-2\r\n',
    'length_of_minus_2': b'$-2\r\n',
    'length_of_2_to_31': b'$2147483648\r\n',
    'length_is_no_number': b'$x\r\nabc\r\n',
    'bulk_is_longer': b'$1\r\nabc\r\n',
    'number_too_large': b':99999999999999999999\r\n',
    'one_too_many': b'+OK\r\n:1\r\n*0\r\n',
    'deep': b'*1\r\n' * 100 + b':1\r\n',
}

# One might, to another command.
SHAPED = {
    'integer': b':1\r\n',
    'other_integer': b':-7\r\n',
    'status': b'+OK\r\n',
    'text': b'$3\r\nabc\r\n',
    'empty_text': b'$0\r\n\r\n',
    'nil': b'$-1\r\n',
    'no_array': b'*-1\r\n',
    'empty_array': b'*0\r\n',
    'array_of_texts': b'*2\r\n$1\r\na\r\n$1\r\nb\r\n',
    'array_of_integers': b'*3\r\n:1\r\n:2\r\n:3\r\n',
    'array_of_nils': b'*2\r\n$-1\r\n*-1\r\n',
    'arrays': b'*3\r\n*1\r\n*1\r\n:1\r\n*0\r\n*2\r\n$1\r\na\r\n:9\r\n',
    'error': b'-ERR this cannot be\r\n',
    'error_without_text': b'-\r\n',
}


def silence():
    return ()


def half():
    yield b'*3\r\n$10\r\nabc'


def endless_nesting():
    for _ in range(1 << 5):
        yield b'*1\r\n' * (PIECE // 4)


def endless_bulk():
    yield b'$530000000\r\n'
    for _ in range(500):
        yield b'x' * PIECE


def endless_line():
    yield b'+'
    for _ in range(1 << 9):
        yield b'x' * PIECE


def endless_array():
    yield b'*8000000\r\n'
    for _ in range(1 << 4):
        yield b':1\r\n' * (PIECE // 4)


def script_names():
    """By the SHA-1 of the texts that are sent."""
    path = str(ROOT / 'scripts' / 'embed-lua')
    loader = importlib.machinery.SourceFileLoader('embed_lua', path)
    sys.dont_write_bytecode = True
    embed = importlib.util.module_from_spec(importlib.util.spec_from_loader('embed_lua', loader))
    loader.exec_module(embed)
    names = {}
    for file in (ROOT / 'src' / 'queue' / 'redis' / 'lua').glob('*.lua'):
        text = ''.join(line + '\n' for line in embed.lines_of(file))
        names[hashlib.sha1(text.encode()).hexdigest()] = file.stem
    assert names, 'no script was found'
    return names


def memory_of(pid):
    """The most that it ever had, in MiB."""
    text = pathlib.Path(f'/proc/{pid}/status').read_text()
    return int(re.search(r'VmHWM:\s+(\d+) kB', text).group(1)) >> 10


class Client:
    """Talks to tests/interop/caller.c, which says what it understands."""

    def __init__(self, env, log):
        self.process = subprocess.Popen([CALLER], env=env, stdin=subprocess.PIPE, stderr=log,
                                        stdout=subprocess.PIPE, text=True)

    def ask(self, op, **what):
        self.process.stdin.write(json.dumps({'op': op, **what}) + '\n')
        self.process.stdin.flush()
        assert select.select([self.process.stdout], [], [], what.get('wait', 0) + CALL_LIMIT)[0], \
            f'{op} {what} does not end'
        said = self.process.stdout.readline()
        assert said, f'the client has ended ({self.process.wait()}) at {op} {what}'
        return json.loads(said)

    def memory(self):
        return memory_of(self.process.pid)

    def end(self):
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()


class World:
    """A worker behind a proxy, a client that has Redis itself, and one behind the proxy, too.

    straight: the worker has Redis itself, too; apart: results are kept in another database.
    """

    def __init__(self, server, scripts, number, straight=False, apart=False):
        self.server, self.number, self.straight = server, number, straight
        self.folder = tempfile.TemporaryDirectory(prefix='sanjab-hostile-')
        self.path = pathlib.Path(self.folder.name)
        self.log_file = open(self.path / 'log', 'ab')
        self.proxy = HostileRedis('127.0.0.1', server.port, scripts).__enter__()
        self.env = {**os.environ, 'HOME': str(self.path),
                    'SANJAB_BROKER_TRANSPORT_OPTIONS': json.dumps({
                        'socket_timeout': SILENCE, 'global_keyprefix': f'w{number}.'})}
        self.results = 1 if apart else 0
        self.clients = []
        self.workers = 0
        self.worker = self.crooked = None
        self.client = self.new_client(server.port)

    def url(self, port, db=0):
        return f'redis://127.0.0.1:{port}/{db}'

    def new_client(self, port):
        env = {**self.env, 'SANJAB_BROKER_URL': self.url(port),
               'SANJAB_RESULT_BACKEND': self.url(port, self.results)}
        self.clients.append(Client(env, self.log_file))
        return self.clients[-1]

    def start(self):
        self.workers += 1
        port = self.server.port if self.straight else self.proxy.port
        self.worker = subprocess.Popen(
            [SANJAB, 'worker', '-A', TASKS, '-c', '2', '-n', f'w{self.number}.{self.workers}@h',
             '-E', '-l', 'warning', '-b', self.url(port)],
            env={**self.env, 'SANJAB_RESULT_BACKEND': self.url(port, self.results)}, cwd=self.path,
            stdin=subprocess.DEVNULL, stdout=self.log_file, stderr=self.log_file)

    def stop(self):
        if self.worker and self.worker.poll() is None:
            self.worker.kill()
        if self.worker:
            self.worker.wait()

    def log(self):
        return (self.path / 'log').read_text(errors='replace')[-3000:]

    def memory(self):
        return max(memory_of(self.worker.pid), *(c.memory() for c in self.clients))

    def send(self):
        """A bit of everything: (what to ask for, what must come of it)..."""
        ask = self.client.ask

        def task(name, *args):
            return {'task': 'c.' + name, 'args': list(args)}
        sent = [(ask('send', name='c.add', args=[1, 2], call={}), 3),
                (ask('send', name='c.add', args=[3, 4], call={'countdown': 0.05}), 7),
                (ask('send', name='c.flaky', args=[1], call={}), 1),
                (ask('canvas', tree={'chain': [task('add', 1, 1), task('mul', 5)]}), 10),
                (ask('canvas', tree={'chord': [{'group': [task('add', 1, 1), task('add', 2, 2)]},
                                               task('tsum')]}), 6)]
        for answer, _ in sent:
            assert 'id' in answer, answer
        self.client.ask('revoke', id='00000000-0000-0000-0000-000000000000')
        return sent

    def await_all(self, sent):
        end = time.monotonic() + PATIENCE
        for what, value in sent:
            got = self.client.ask('get', **what, wait=max(0.05, end - time.monotonic()))
            assert self.worker.poll() is None, f'the worker has ended: {self.log()}'
            assert got.get('state') == 'SUCCESS' and got.get('value') == value, \
                f'{got}; {value} was expected: {self.log()}'

    def close(self):
        self.stop()
        for client in self.clients:
            client.end()
        self.proxy.__exit__()
        self.log_file.close()
        self.folder.cleanup()


# ---- what is done in a world

def provoke(world, kind):
    """Has that asked for which is asked only once."""
    if kind == 'script load':
        world.server.ask('SCRIPT', 'FLUSH')
    elif kind in LOGIN or kind in ('subscribe', 'psubscribe'):
        world.proxy.reset()


def until_met(world, kind, again):
    """Does that until the rule was met; what is not asked at each time has a while."""
    end = time.monotonic() + 3
    again()
    while world.proxy.hits == 0 and time.monotonic() < end:
        time.sleep(0.1)
        provoke(world, kind)
        again()
    assert world.proxy.hits, 'this was never asked for'
    world.proxy.pass_freely()


def running(world, kind, answer, times):
    """A worker that runs is told so."""
    if not world.worker:
        world.start()
        world.await_all(world.send())
    provoke(world, kind)
    world.proxy.rule(kind, answer, times)
    until_met(world, kind, lambda: world.await_all(world.send()))


def starting(world, kind, answer, times):
    """A worker that starts is."""
    world.stop()
    world.proxy.rule(kind, answer, times)
    world.start()
    until_met(world, None, lambda: world.await_all(world.send()))


def renewing(world, kind, answer, times):
    """A worker is that has a task for so long that its lease is renewed."""
    world.start()
    world.proxy.rule(kind, answer, times)
    sent = [(world.client.ask('send', name='c.nap', args=[11], call={}), 'slept')]
    world.await_all(sent)
    assert world.proxy.hits, 'nothing was renewed'
    assert 'its lease was lost' not in world.log(), world.log()


def calling(world, kind, answer, times):
    """A client is that sends, waits and revokes."""
    if not world.worker:
        world.start()
    if not world.crooked or kind == 'sadd':  # said once by each
        world.crooked = world.new_client(world.proxy.port)
    ask = world.crooked.ask
    provoke(world, kind)
    world.proxy.rule(kind, answer, times)
    confirmed = []

    def call():
        for how in ({}, {'countdown': 0.01}):
            sent = ask('send', name='c.add', args=[1, 2], call=how)
            if 'id' in sent:
                confirmed.append((sent, 3))
                got = ask('get', **sent, wait=0.5)
                assert got.get('errno') or got['state'] == 'PENDING' or got['value'] == 3, got
        ask('revoke', id='00000000-0000-0000-0000-000000000000')
    until_met(world, kind, call)
    call()
    world.await_all(confirmed)
    for what, value in confirmed[-1:]:
        got = ask('get', **what, wait=PATIENCE)
        assert got.get('value') == value, got


def inspecting(world, kind, answer, times):
    """A worker and who inspects it are."""
    if not world.worker:
        world.start()
        world.await_all(world.send())
    world.proxy.rule(kind, answer, times)

    def inspect():
        return subprocess.run([SANJAB, 'inspect', 'ping', '-b', world.url(world.proxy.port), '-t',
                               '1'], env=world.env, stdin=subprocess.DEVNULL, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=CALL_LIMIT)
    until_met(world, kind, inspect)
    said = inspect()
    assert said.returncode == 0 and 'pong' in said.stdout, said
    world.await_all(world.send())


# ---- which answers where

LOGIN = ('client', 'select', 'info', 'role')
STEADY = (*LOGIN, 'script load', 'script lease', 'script look', 'script settle', 'script join',
          'script beat', 'blmove', 'publish', 'subscribe', 'psubscribe', 'news')
AT_START = (None, 'info', 'select', 'script node', 'zrangebyscore', 'psubscribe', 'script mailbox',
            'smembers', 'lpush', 'pexpire', 'brpop', 'sadd', 'script beat', 'script lease')
APART = ('script results', 'zmscore', 'script join', 'script settle')
OF_A_CALL = ('select', 'sadd', 'lpush', 'script load', 'script publish', 'mget', 'subscribe',
             'news', 'zadd', 'publish')
OF_CONTROL = ('smembers', 'lpush', 'pexpire', 'brpop', 'script mailbox', 'news')
LARGE = {'endless_bulk': endless_bulk, 'endless_array': endless_array}
HANGING = {'half': half, 'silence': silence, 'endless_nesting': endless_nesting,
           'endless_line': endless_line}


def some(answers, turn, n):
    """n of them, others at each turn."""
    rows = list(answers.items())
    return [rows[(turn * n + i) % len(rows)] for i in range(n)]


def plan():
    """By the kind of world that it wants: (case, what is done, kind, answer's name, answer)..."""
    plain, straight, apart, large = [], [], [], []
    for turn, kind in enumerate(STEADY):
        for answer in (*SHAPED.items(), *some(BROKEN, turn, 3), *some(HANGING, turn, 2)):
            plain.append((f'running_{kind}', running, kind, *answer))
    for turn, kind in enumerate(AT_START):
        for answer in (*some(SHAPED, turn, 4), *some(BROKEN, turn, 2), *some(HANGING, turn, 1)):
            plain.append((f'starting_{kind or "any"}', starting, kind, *answer))
    for turn, kind in enumerate(OF_CONTROL):
        for answer in (*some(SHAPED, turn, 5), *some(BROKEN, turn, 1)):
            plain.append((f'inspecting_{kind}', inspecting, kind, *answer))
    for turn, kind in enumerate(OF_A_CALL):
        for answer in (*SHAPED.items(), *some(BROKEN, turn, 2), *some(HANGING, turn, 1)):
            straight.append((f'calling_{kind}', calling, kind, *answer))
    for turn, kind in enumerate(APART):
        for answer in (*SHAPED.items(), *some(BROKEN, turn, 1)):
            apart.append((f'results_apart_{kind}', running, kind, *answer))
    for answer in LARGE.items():
        large.append(('running_large', running, 'script lease', *answer))
    renewals = [[('renewing', renewing, 'script renew', *answer)]
                for answer in (*some(SHAPED, 0, 4), *some(HANGING, 0, 1))]
    return ([(plain, {})] * 7 + [(straight, {'straight': True})] * 3 + [(apart, {'apart': True})] * 2 +
            [(large, {})] + [(one, {}) for one in renewals])


class Side:
    """Worlds side by side, and what went wrong in them by cases."""

    def __init__(self, server):
        self.server, self.scripts = server, script_names()
        self.lock = threading.Lock()
        self.numbers = iter(range(1, 100000))
        self.wrong = {}
        self.met = 0
        self.most = {}

    def world(self, **how):
        with self.lock:
            number = next(self.numbers)
        return World(self.server, self.scripts, number, **how)

    def work_off(self, jobs, how):
        """Some of the jobs, until none is left; the next ones have another world after a failure."""
        world = None
        while True:
            with self.lock:
                if not jobs:
                    break
                case, done, kind, name, answer = jobs.pop(0)
                self.met += 1
            try:
                world = world or self.world(**how)
                done(world, kind, answer, 1 if callable(answer) else 1 + self.met % 2)
                self.look_at_memory(world, case)
            except Exception as e:
                with self.lock:
                    self.wrong.setdefault(case, []).append(f'{name}: {type(e).__name__}: {e}')
                if world:
                    world.close()
                world = None
        if world:
            world.close()

    def look_at_memory(self, world, case):
        most, limit = world.memory(), MEMORY_LARGE if case == 'running_large' else MEMORY
        self.most[limit] = max(self.most.get(limit, 0), most)
        assert most < limit, f'{most} MiB'


def main():
    only = os.environ.get('HOSTILE_ONLY', '')
    try:
        server = RedisServer().__enter__()
    except tap.Skip as reason:
        print(f'1..0 # SKIP {reason}')
        return 77
    try:
        side, cases = Side(server), {}
        begun = time.monotonic()
        with concurrent.futures.ThreadPoolExecutor(100) as threads:
            for jobs, how in plan():
                jobs[:] = [job for job in jobs if only in job[0]]
                cases.update(dict.fromkeys(job[0] for job in jobs))
                threads.submit(side.work_off, jobs, how)
    finally:
        server.__exit__()

    def test_of(case):
        def test():
            assert case not in side.wrong, '\n'.join(side.wrong[case])
        return test
    status = tap.main({'test_' + case.replace(' ', '_'): test_of(case) for case in sorted(cases)})
    print(f'# {side.met} answers in {time.monotonic() - begun:.0f} s; the most memory: '
          f'{side.most} MiB (by the limit)')
    return status


if __name__ == '__main__':
    sys.exit(main())
