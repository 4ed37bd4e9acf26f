# SPDX-License-Identifier: MIT
"""Runs the programs of a build folder as a user does: what the tests here share.

BUILD is the build folder. Every test has a folder of its own, with a home and a cache in it, so
that nothing of the user's is touched.
"""
import json
import os
import pathlib
import shlex
import signal
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / 'tests'))

import tap  # noqa: E402

BUILD = pathlib.Path(os.environ['BUILD']).resolve()
SANJAB = BUILD / 'sanjab'
CC = os.environ.get('CC', 'cc')
LIMIT = 60  # seconds: for what hangs; no test is quick or slow by it


def needs_no_sanitizer():
    """For cases that limit memory or processes: a sanitizer needs both for itself."""
    sanitizer = os.environ.get('SANITIZE', 'none')
    if sanitizer != 'none':
        raise tap.Skip(f'the {sanitizer} sanitizer needs threads and memory of its own')


def eventually(condition, what):
    """Waits until condition() is true and returns it."""
    end = time.monotonic() + LIMIT
    while time.monotonic() < end:
        value = condition()
        if value:
            return value
        time.sleep(0.02)
    raise AssertionError(f'{what}: not within {LIMIT} s')


class Run:
    """What a program did."""

    def __init__(self, command, done):
        self.status, self.out, self.err = done.returncode, done.stdout, done.stderr
        self.shown = f'{shlex.join(map(str, command))}\nstatus {self.status}\n{self.out}{self.err}'

    def expect(self, status, *texts):
        assert self.status == status, f'status {status} was expected: {self.shown}'
        for text in texts:
            assert text in self.out + self.err, f'{text!r} was expected: {self.shown}'
        if status == 2:
            assert self.out == '', f'an error belongs on the error output: {self.shown}'
        return self

    def json(self):
        return json.loads(self.out)


class Place:
    """A folder with an environment in which programs run."""

    def __init__(self, broker=None):
        self.folder = tempfile.TemporaryDirectory(prefix='sanjab-e2e-')
        self.path = pathlib.Path(self.folder.name)
        self.workers = []
        (self.path / 'home').mkdir()
        (self.path / 'work').mkdir()
        keep = {name: value for name, value in os.environ.items()
                if name in ('PATH', 'ASAN_OPTIONS', 'UBSAN_OPTIONS', 'TSAN_OPTIONS',
                            'LD_LIBRARY_PATH')}
        self.env = {**keep, 'HOME': str(self.path / 'home'), 'CC': CC,
                    'SANJAB_INCLUDE': str(ROOT / 'include')}
        if broker:
            self.env['SANJAB_BROKER_URL'] = broker

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for worker in self.workers:
            worker.kill()
        self.folder.cleanup()

    def write(self, name, text, mode=0o644):
        path = self.path / 'work' / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(mode)
        return path

    def run(self, *args, stdin=subprocess.DEVNULL, user=None, **env):
        command = [SANJAB, *map(str, args)]
        done = subprocess.run(command, cwd=self.path / 'work', env={**self.env, **env}, text=True,
                              stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              timeout=LIMIT, user=user)
        return Run(command, done)

    def give_away(self):
        """Gives all to a user without rights, if this one is root; who that is, or None."""
        if os.getuid() != 0:
            return None
        nobody = 65534
        for path in [self.path, *self.path.rglob('*')]:
            os.chown(path, nobody, nobody)
        try:
            subprocess.run([SANJAB, '--version'], user=nobody, stdout=subprocess.DEVNULL, cwd='/',
                           check=True)
        except (OSError, subprocess.CalledProcessError):
            raise tap.Skip('a user without rights cannot run the program where it lies')
        return nobody

    def worker(self, *args, ready=True, program=SANJAB, **env):
        worker = Worker(self, program, args, {**self.env, **env})
        self.workers.append(worker)
        return worker.wait_ready() if ready else worker


class Worker:
    """A worker that runs beside the test."""

    def __init__(self, place, program, args, env):
        self.log = tempfile.NamedTemporaryFile(mode='r', dir=place.path)
        self.process = subprocess.Popen([program, 'worker', *map(str, args)],
                                        cwd=place.path / 'work', env=env,
                                        stdin=subprocess.DEVNULL, stdout=self.log.fileno(),
                                        stderr=subprocess.STDOUT)

    def text(self):
        return pathlib.Path(self.log.name).read_text()

    def wait_text(self, text, times=1):
        def said():
            if self.text().count(text) >= times:
                return True
            assert self.process.poll() is None, f'the worker has ended: {self.text()}'
            return False
        eventually(said, f'{text!r} in {self.log.name}')
        return self

    def wait_ready(self):
        return self.wait_text(' is ready')

    def send(self, number):
        self.process.send_signal(number)

    def end(self):
        """Its status, when it has ended by itself."""
        return self.process.wait(LIMIT)

    def stop(self, number=signal.SIGTERM):
        self.send(number)
        status = self.end()
        assert status == 0, f'status {status}: {self.text()}'

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.log.close()



def needs_sqlite():
    with Place('sqlite:jobs.db') as place:
        if "no broker of the kind 'sqlite'" in place.run('call', 'x').err:
            raise tap.Skip('this build has no SQLite')
