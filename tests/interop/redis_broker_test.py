#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""The broker in Redis shared with a real Celery: what one side publishes, takes, loses or delays,
the other finds.

BUILD is the build folder. Needs Debian's redis-server, python3-celery and python3-redis; without
them the cases are skipped. Each case has a server of its own.
"""
import contextlib
import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import redis_server  # noqa: E402
import tap  # noqa: E402

PYTHON = '/usr/bin/python3'
SANJAB = pathlib.Path(os.environ['BUILD']) / 'sanjab'
PATIENCE = 60

TASKS_C = '''
#include <sanjab/queue.h>
#include <stdio.h>
#include <unistd.h>

SJ_TASK(add, int64_t, (int64_t, a), (int64_t, b))
{
        *ret = a + b;
        return 0;
}
SJ_TASK_OPTIONS(add, .name = "add");

SJ_TASK(slow, int64_t, (int64_t, seconds))
{
        sleep((unsigned)seconds);
        *ret = seconds;
        return 0;
}
SJ_TASK_OPTIONS(slow, .name = "slow");

/* Adds a word to the file. */
SJ_TASK(note, void, (const char *, path), (const char *, word))
{
        FILE *f = fopen(path, "a");
        if (!f)
                return -EIO;
        fprintf(f, "%s\\n", word);
        fclose(f);
        return 0;
}
SJ_TASK_OPTIONS(note, .name = "note");
'''

PROJ_PY = '''
import json, os, time
from celery import Celery
app = Celery('proj', broker=os.environ['URL'], backend=os.environ['URL'])
app.conf.task_acks_late = True
app.conf.worker_prefetch_multiplier = 1
app.conf.broker_transport_options = json.loads(os.environ['TRANSPORT'])

@app.task(name='add')
def add(a, b):
    return a + b

@app.task(name='slow')
def slow(seconds):
    time.sleep(seconds)
    return seconds

@app.task(name='note', bind=True)
def note(self, path, word):
    with open(path, 'a') as f:
        print(word, file=f)
    return bool(self.request.delivery_info.get('redelivered'))
'''

SEND_PY = '''
import json, sys
import proj
name, args, options, wait = json.loads(sys.argv[1])
r = getattr(proj, name).apply_async(args, **options)
print(r.get(timeout=wait) if wait else r.id)
'''


class Fleet:
    """A server, a folder with the same tasks in C and in Python, and who is to be stopped."""

    def __init__(self, transport=None):
        self.transport = transport or {}

    def __enter__(self):
        probe = subprocess.run([PYTHON, '-c', 'import celery, redis'], stderr=subprocess.DEVNULL,
                               check=False)
        if probe.returncode:
            raise tap.Skip('Celery with Redis is not installed')
        self.stack = contextlib.ExitStack()
        self.server = self.stack.enter_context(redis_server.RedisServer())
        self.place = pathlib.Path(self.stack.enter_context(tempfile.TemporaryDirectory()))
        (self.place / 'tasks.c').write_text(TASKS_C)
        (self.place / 'proj.py').write_text(PROJ_PY)
        (self.place / 'send.py').write_text(SEND_PY)
        (self.place / 'words').write_text('')
        self.env = dict(os.environ, URL=self.server.url, TRANSPORT=json.dumps(self.transport),
                        PYTHONPATH=str(self.place), HOME=str(self.place),
                        SANJAB_BROKER_TRANSPORT_OPTIONS=json.dumps(self.transport))
        return self

    def __exit__(self, *_):
        self.stack.close()

    def start(self, *command):
        """A process group, which is killed at the end."""
        log = self.stack.enter_context(open(self.place / 'log', 'a', encoding='utf-8'))
        p = subprocess.Popen(list(map(str, command)), cwd=self.place, env=self.env,
                             stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                             start_new_session=True)
        self.stack.callback(self.kill, p)
        return p

    @staticmethod
    def kill(p, signo=signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(p.pid, signo)
        p.wait(PATIENCE)

    def sanjab(self, *options):
        p = self.start(SANJAB, 'worker', '-b', self.server.url, '-A', 'tasks.c', '-c', 1,
                       '-l', 'info', *options)
        self.until(lambda: 'is ready' in (self.place / 'log').read_text())
        return p

    def celery(self):
        return self.start(PYTHON, '-m', 'celery', '-A', 'proj', 'worker', '-c', '1', '-l', 'info',
                          '--without-gossip', '--without-mingle')

    def send(self, name, *args, wait=PATIENCE, **options):
        """By Celery: the result, or without waiting the id."""
        words = json.dumps([name, args, options, wait])
        return subprocess.run([PYTHON, 'send.py', words], cwd=self.place, env=self.env, check=True,
                              timeout=PATIENCE + 10, text=True, stdout=subprocess.PIPE
                              ).stdout.strip()

    def call(self, name, *args, options=()):
        """By sanjab."""
        return subprocess.run([SANJAB, 'call', name, '-b', self.server.url, '-a', json.dumps(args),
                               *options],
                              cwd=self.place, env=self.env, check=True, timeout=PATIENCE + 10,
                              text=True, stdout=subprocess.PIPE).stdout.strip()

    def until(self, happens):
        end = time.monotonic() + PATIENCE
        while not happens():
            if time.monotonic() > end:
                raise AssertionError('in vain:\n' + (self.place / 'log').read_text())
            time.sleep(0.02)

    def words(self):
        return (self.place / 'words').read_text().split()

    def note(self, word, **options):
        return self.send('note', str(self.place / 'words'), word, wait=0, **options)


def test_each_sides_tasks_are_run_by_the_other():
    with Fleet() as f:
        worker = f.sanjab()
        assert f.send('add', 2, 3) == '5'
        f.kill(worker, signal.SIGTERM)
        f.celery()
        assert f.call('add', 20, 3, options=['--wait', str(PATIENCE)]) == '23'
        f.until(lambda: f.server.ask('HLEN', 'unacked') == 0)


def test_all_keys_bear_the_prefix_and_the_names_that_were_given():
    names = {'global_keyprefix': 'pfx:', 'unacked_key': 'held', 'unacked_index_key': 'held_since'}
    with Fleet(names) as f:
        f.sanjab()
        assert f.send('add', 2, 3) == '5'
        f.send('slow', 30, wait=0)
        f.until(lambda: f.server.ask('HLEN', 'pfx:held') == 1)
        assert f.server.ask('ZCARD', 'pfx:held_since') == 1
        keys = f.server.ask('KEYS', '*')
        ours = [k for k in keys if not k.startswith((b'pfx:', b'celery-task-meta-'))]
        assert not ours, ours


def test_priorities_are_kombus_and_zero_goes_first():
    with Fleet() as f:
        for priority in (9, 6, 0, 3):
            f.note(f'p{priority}', priority=priority)
        f.sanjab()
        f.until(lambda: len(f.words()) == 4)
        assert f.words() == ['p0', 'p3', 'p6', 'p9'], f.words()


def test_what_a_killed_worker_of_ours_held_is_delivered_by_kombu():
    with Fleet({'visibility_timeout': 40}) as f:
        ours = f.sanjab('-P', 'solo')
        f.send('slow', 60, wait=0)
        f.until(lambda: f.server.ask('HLEN', 'unacked') == 1)
        f.kill(ours)
        f.server.ask('ZREMRANGEBYRANK', 'sanjab.leases', '0', '-1')
        tag = f.server.ask('ZRANGE', 'unacked_index', '0', '-1')[0]
        f.server.ask('ZADD', 'unacked_index', '1000', tag)
        f.celery()
        f.until(lambda: f.server.ask('HKEYS', 'unacked') not in ([], [tag]))
        assert b'"redelivered": true' in f.server.ask('HVALS', 'unacked')[0]


def test_what_a_killed_worker_of_celerys_held_is_delivered_by_ours():
    with Fleet({'visibility_timeout': 2}) as f:
        theirs = f.celery()
        f.send('slow', 2, wait=0)
        f.until(lambda: f.server.ask('HLEN', 'unacked') == 1)
        f.kill(theirs)
        tag = f.server.ask('ZRANGE', 'unacked_index', '0', '-1')[0]
        f.sanjab()
        f.until(lambda: tag not in f.server.ask('ZRANGE', 'unacked_index', '0', '-1'))
        f.until(lambda: 'task slow' in (f.place / 'log').read_text())
        f.until(lambda: f.server.ask('HLEN', 'unacked') == 0)


def test_what_a_killed_worker_held_is_soon_run_by_another():
    with Fleet() as f:
        first = f.sanjab('-P', 'solo', '-n', 'first@%h')
        f.send('slow', 60, wait=0)
        f.until(lambda: f.server.ask('HLEN', 'unacked') == 1)
        f.sanjab('-n', 'second@%h')
        time.sleep(8)  # the first says that it lives, though its task holds its loop
        tag = f.server.ask('HKEYS', 'unacked')
        assert len(tag) == 1
        f.kill(first)
        killed = time.monotonic()
        f.until(lambda: f.server.ask('HKEYS', 'unacked') not in ([], tag))
        assert time.monotonic() - killed < 25  # a lease is 30 s
        assert b'"redelivered": true' in f.server.ask('HVALS', 'unacked')[0]


def test_a_message_with_an_eta_waits_in_the_broker_and_comes_in_time():
    with Fleet() as f:
        f.sanjab()
        f.note('later', countdown=3)
        f.note('now')
        f.until(lambda: f.words() == ['now'])
        assert f.server.ask('ZCARD', 'sanjab.delayed') == 1
        assert f.server.ask('ZCARD', 'sanjab.leases') <= 1
        f.until(lambda: f.words() == ['now', 'later'])
        assert f.server.ask('ZCARD', 'sanjab.delayed') == 0


def test_a_delayed_message_is_delivered_by_kombu_when_no_sanjab_lives():
    with Fleet() as f:
        f.call('note', str(f.place / 'words'), 'due', options=['--countdown', '1'])
        assert f.server.ask('HLEN', 'unacked') == 1
        time.sleep(2.5)
        f.celery()
        f.until(lambda: f.words() == ['due'])
        f.until(lambda: f.server.ask('HLEN', 'unacked') == 0)


def test_a_kill_between_the_wait_and_the_take_loses_nothing():
    with Fleet() as f:
        ours = f.sanjab('-P', 'solo', '-n', 'w@%h')
        for i in range(5):
            f.until(lambda: b'blmove' in f.server.ask('CLIENT', 'LIST'))
            os.killpg(ours.pid, signal.SIGSTOP)
            f.note(f'w{i}')
            f.kill(ours)
            held = f.server.ask('HLEN', 'unacked')
            assert f.server.ask('LLEN', 'celery') + held == 1
            (f.place / 'log').write_text('')
            ours = f.sanjab('-P', 'solo', '-n', f'w{i}@%h')
            f.until(lambda: f.words() == [f'w{k}' for k in range(i + 1)])


def test_a_worker_that_waits_takes_again_when_the_server_is_back():
    with Fleet() as f:
        f.sanjab()
        assert f.send('add', 1, 1) == '2'
        for i in range(3):
            f.server.kill()
            time.sleep(0.3 * i)
            f.server.restart()
            assert f.send('add', i, 1) == str(i + 1)


if __name__ == '__main__':
    tap.run(globals())
