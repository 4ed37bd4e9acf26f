#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""What is bad, full, forbidden or used up: each has a sentence and a status, and nothing is lost."""
import os
import pathlib
import re
import resource
import shutil
import signal
import sqlite3
import subprocess
import sys
import time

from program import LIMIT, SANJAB, Place, Run, eventually, needs_no_sanitizer

import tap

NOBODY = 65534
BROKER = 'sqlite:jobs.db'
TASKS = '''
#include <sanjab/fiber.h>
#include <sanjab/queue.h>
SJ_TASK(multiply, int64_t, (int64_t, a), (int64_t, b)) { *ret = a * b; return 0; }
SJ_TASK(nap, void, (double, seconds)) { return sj_sleep((sj_time)(seconds * SJ_SEC)); }
SJ_TASK(seldom, void) { return 0; }
SJ_TASK_OPTIONS(seldom, .rate_limit = "5/s");
'''


def shop():
    place = Place(BROKER)
    place.write('tasks.c', TASKS)
    return place


def send(place, *args):
    return place.run('call', *args).expect(0).out.strip()


def queue(place, name='celery'):
    queues = {q['queue']: q for q in place.run('status', '--json').expect(0).json()['queues']}
    return queues.get(name, {'ready': 0, 'delayed': 0, 'running': 0, 'dead': 0})


def answers(place):
    done = place.run('call', 'multiply', '--args', '[6, 7]', '--wait', '30')
    assert done.expect(0).out == '42\n', done.shown


def as_nobody(place, *args, limits=(), check=True):
    """Runs the program as a user to whom nothing is allowed that root may do."""
    if os.getuid() != 0:
        raise tap.Skip('only root can become somebody else')
    for path in [place.path, *place.path.rglob('*')]:
        os.chown(path, NOBODY, NOBODY, follow_symlinks=False)

    def limit():
        for what, value in limits:
            resource.setrlimit(what, (value, value))
    command = [SANJAB, *map(str, args)]
    try:
        done = subprocess.run(command, cwd=place.path / 'work', env=place.env, text=True,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, timeout=LIMIT, user=NOBODY, group=NOBODY,
                              extra_groups=[], preexec_fn=limit)
    except PermissionError as reason:
        raise tap.Skip(f'another user cannot run the build: {reason}') from reason
    return Run(command, done)


# ---- messages that are none

def put(place, task, envelope):
    """Puts a message into the file as if a producer had sent it so."""
    with sqlite3.connect(place.path / 'work' / 'jobs.db', timeout=30) as file:
        file.execute('INSERT INTO sanjab_task (id, phase, queue, priority, place, deliveries, rites,'
                     ' revoked, published, eta, expires, max_deliveries, task, envelope)'
                     ' VALUES (?, 1, ?, 0, (SELECT coalesce(max(place), 0) + 1 FROM sanjab_task),'
                     ' 0, 0, 0, ?, 0, 0, 5, ?, ?)',
                     (task, 'celery', int(time.time() * 1e6), 'raw', envelope))
    file.close()


def sound_envelope(place):
    task = send(place, 'multiply', '--args', '[2, 3]')
    file = sqlite3.connect(place.path / 'work' / 'jobs.db')
    text, = file.execute('SELECT envelope FROM sanjab_task WHERE id = ?', (task,)).fetchone()
    file.close()
    return text if isinstance(text, bytes) else text.encode()


def test_messages_that_cannot_be_read_are_dead_and_the_worker_goes_on():
    with shop() as place:
        sound = sound_envelope(place)
        bad = {
            'text': b'this is no JSON',
            'empty': b'',
            'zeros': bytes(1000),
            'list': b'[1, 2, 3]',
            'truncated': sound[:len(sound) // 2],
            'deep': b'[' * 10000,
            'deeper': b'{"body": ' * 10000 + b'1' + b'}' * 10000,
            'large': b'{"body": "' + b'A' * (100 << 20) + b'"}',
            'pickle': sound.replace(b'application/json', b'application/x-python-serialize'),
        }
        for task, envelope in bad.items():
            put(place, task, envelope)
        worker = place.worker('-A', 'tasks.c')
        for task in bad:
            said = place.run('result', task, '--wait', '30').expect(1, 'failed').err
            assert re.search(r'InvalidTaskError: \w|ContentDisallowed: \w', said), (task, said)
        answers(place)
        dead = {letter['id']: letter for letter in place.run('dead', '--json').expect(0).json()}
        assert set(dead) == set(bad), dead
        for task, letter in dead.items():
            assert len(letter['reason']) > 10, (task, letter)
        assert queue(place)['running'] == 0
        worker.stop()


# ---- files

def test_a_folder_or_file_that_may_only_be_read_is_said():
    with shop() as place:
        work = place.path / 'work'
        done = as_nobody(place, 'call', 'multiply').expect(0)
        for path in work.glob('jobs.db*'):
            path.chmod(0o400)
        work.chmod(0o500)
        for args in (['call', 'multiply'], ['worker', '-A', 'tasks.c', '-P', 'solo'], ['purge', '-y']):
            done = as_nobody(place, *args)
            assert done.status in (2, 4) and 'sqlite:jobs.db' in done.err, done.shown
        work.chmod(0o700)
        (work / 'locked').mkdir()
        (work / 'locked').chmod(0o500)
        as_nobody(place, 'call', 'multiply', '-b', 'sqlite:locked/new.db').expect(
            4, 'sqlite:locked/new.db')
        for path in work.glob('jobs.db*'):
            path.chmod(0o600)
        said = as_nobody(place, 'status', '--json').expect(0).json()
        assert said['queues'][0]['ready'] == 1, said


def test_a_file_of_a_newer_version_is_said_and_left_alone():
    with shop() as place:
        send(place, 'multiply')
        path = place.path / 'work' / 'jobs.db'
        file = sqlite3.connect(path)
        version, = file.execute('PRAGMA user_version').fetchone()
        file.execute(f'PRAGMA user_version = {version + 1}')
        file.commit()
        file.close()
        before = path.read_bytes()
        for args in (['call', 'multiply'], ['status'], ['worker', '-A', 'tasks.c']):
            place.run(*args).expect(4, 'sqlite:jobs.db', 'newer')
        assert path.read_bytes() == before


class FullDisk:
    """A small disk of its own, in a folder."""

    def __init__(self, path, size):
        self.path = path
        path.mkdir()
        done = subprocess.run(['mount', '-t', 'tmpfs', '-o', f'size={size}', 'tmpfs', path],
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if done.returncode:
            raise tap.Skip(f'no disk can be mounted: {done.stdout.strip()}')

    def __enter__(self):
        return self

    def __exit__(self, *_):
        subprocess.run(['umount', '-l', self.path], check=True)

    def fill(self):
        with open(self.path / 'filling', 'wb', buffering=0) as file:
            try:
                while True:
                    file.write(bytes(4096))
            except OSError:
                pass


def test_a_disk_that_runs_full_loses_nothing():
    if os.getuid() != 0 or not shutil.which('mount'):
        raise tap.Skip('only root can mount a small disk')
    with shop() as place, FullDisk(place.path / 'work' / 'disk', '16m') as disk:
        broker = 'sqlite:disk/jobs.db'
        place.env['SANJAB_BROKER_URL'] = broker
        worker = place.worker('-A', 'tasks.c', '-P', 'fibers')
        naps = [send(place, 'nap', '--args', '[1]') for _ in range(5)]
        disk.fill()
        done = place.run('call', 'multiply', '--args', f'["{"x" * 100000}"]')
        assert done.status == 4 and 'space' in done.err, done.shown
        worker.wait_text('the broker does not take what has ended')
        (disk.path / 'filling').unlink()
        for nap in naps:
            place.run('result', nap, '--wait', '50').expect(0)
        answers(place)
        worker.stop()


# ---- what is used up

def test_no_process_or_memory_left_is_said_and_nothing_is_lost():
    needs_no_sanitizer()
    with shop() as place:
        as_nobody(place, 'call', 'multiply', '--args', '[6, 7]').expect(0)
        busy = sum(1 for status in pathlib.Path('/proc').glob('[0-9]*/status')
                   if owner(status) == NOBODY)
        if busy:
            raise tap.Skip(f'{busy} processes of the same user run: no limit can be set')
        prepared = place.path / 'work' / 'tasks.so'
        subprocess.run([*os.environ.get('CC', 'cc').split(), '-shared', '-fPIC',
                        place.path / 'work' / 'tasks.c', f'-I{place.env["SANJAB_INCLUDE"]}',
                        '-o', prepared], check=True)
        for processes in (1, 2, 3):
            done = as_nobody(place, 'worker', '-A', './tasks.so', '-c', '4',
                             limits=[(resource.RLIMIT_NPROC, processes)])
            assert done.status == 4 and 'ulimit -u' in done.err.splitlines()[-1], done.shown
        for megabytes in (16, 24, 32, 48):
            done = as_nobody(place, 'worker', '-A', './tasks.so', '-c', '2',
                             limits=[(resource.RLIMIT_AS, megabytes << 20),
                                     (resource.RLIMIT_NPROC, 2)])
            assert done.status not in (0, 2, -signal.SIGSEGV, -signal.SIGABRT), done.shown
        said = as_nobody(place, 'status', '--json').expect(0).json()
        assert said['queues'][0]['ready'] == 1 and not said['workers'], said


def owner(status):
    try:
        return int(re.search(r'^Uid:\s+(\d+)', status.read_text(), re.M).group(1))
    except OSError:
        return -1


# ---- workers

def test_a_worker_that_was_killed_can_be_started_again_under_its_name():
    with shop() as place:
        worker = place.worker('-A', 'tasks.c', '-n', 'me@box')
        nap = send(place, 'nap', '--args', '[0.5]')
        worker.wait_ready()
        worker.kill()
        again = place.worker('-A', 'tasks.c', '-n', 'me@box')
        assert 'the name me@box is taken: waiting' in again.text(), again.text()
        place.run('result', nap, '--wait', '50').expect(0)
        again.stop()


def test_a_rate_limit_is_kept_and_holds_up_nobody_else():
    with shop() as place:
        tasks = [send(place, 'seldom') for _ in range(6)]
        worker = place.worker('-A', 'tasks.c', '-c', '2')
        begin = time.monotonic()
        answers(place)
        for task in tasks:
            place.run('result', task, '--wait', '30').expect(0)
        assert time.monotonic() - begin >= 0.9
        worker.stop()


def test_what_a_task_prints_is_seen():
    with shop() as place:
        place.write('talk.c', '#include <sanjab/queue.h>\n#include <stdio.h>\n'
                              'SJ_TASK(talk, void) { printf("said by a task\\n"); return 0; }\n')
        worker = place.worker('-A', 'talk.c')
        place.run('call', 'talk', '--wait', '30').expect(0)
        worker.stop()
        assert 'said by a task\n' in pathlib.Path(worker.log.name).read_text()


with Place(BROKER) as probe:
    without = "no broker of the kind 'sqlite'" in probe.run('call', 'x').err
if without:
    print('1..0 # SKIP this build has no SQLite')
    sys.exit(77)
tap.run(globals())
