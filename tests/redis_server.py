# SPDX-License-Identifier: MIT
"""A redis-server of one's own, for tests.

  with redis_server.RedisServer('--appendonly', 'yes') as server:
      ... server.url, server.port, server.socket, server.folder, server.pid ...

It lives in a private temporary folder, on a Unix socket there and a free port of 127.0.0.1, keeps
nothing on the disk unless its arguments say so, and is killed when the block is left or when this
process ends, however that happens. Where it is not installed, entering raises tap.Skip.
"""
import ctypes
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time

from tap import Skip

PROGRAM = '/usr/bin/redis-server'
ANSWER_TIME = 60
ATTEMPTS = 5
PR_SET_PDEATHSIG = 1


def free_port():
    with socket.socket() as s:
        s.bind(('127.0.0.1', 0))
        return s.getsockname()[1]


def die_with_parent():
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


class RedisServer:
    def __init__(self, *arguments):
        self.arguments = arguments
        self.process = None

    def __enter__(self):
        if not os.access(PROGRAM, os.X_OK):
            raise Skip(f'{PROGRAM} is not installed')
        self.folder = tempfile.mkdtemp(prefix='sanjab-redis-')
        self.socket = os.path.join(self.folder, 'redis.sock')
        try:
            for _ in range(ATTEMPTS):
                self.port = free_port()
                if self._launch():
                    return self
            raise RuntimeError(f'{PROGRAM} does not start: {self.log()}')
        except BaseException:
            self.__exit__()
            raise

    def __exit__(self, *_):
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def url(self):
        return f'redis://127.0.0.1:{self.port}/0'

    @property
    def pid(self):
        return self.process.pid

    def log(self):
        try:
            with open(os.path.join(self.folder, 'redis.log'), encoding='utf-8') as f:
                return f.read()
        except OSError:
            return ''

    def _launch(self):
        """False when it ended instead of answering: another process has taken the port."""
        if os.path.exists(self.socket):
            os.unlink(self.socket)
        self.process = subprocess.Popen(
            [PROGRAM, '--port', str(self.port), '--bind', '127.0.0.1', '--unixsocket', self.socket,
             '--dir', self.folder, '--logfile', 'redis.log', '--save', '', '--appendonly', 'no',
             *self.arguments], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            preexec_fn=die_with_parent)
        end = time.monotonic() + ANSWER_TIME
        while time.monotonic() < end:
            if self.process.poll() is not None:
                return False
            try:
                if not self.ask('PING').startswith(b'-LOADING'):
                    return True
            except OSError:
                pass
            time.sleep(0.005)
        raise RuntimeError(f'{PROGRAM} does not answer')

    def ask(self, *words):
        """Sends one command on a connection of its own; the bytes of its answer, one reply."""
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(ANSWER_TIME)
            s.connect(self.socket)
            words = [w if isinstance(w, bytes) else str(w).encode() for w in words]
            s.sendall(b'*%d\r\n' % len(words) +
                      b''.join(b'$%d\r\n%s\r\n' % (len(w), w) for w in words))
            with s.makefile('rb') as f:
                return read_reply(f)

    def kill(self):
        """SIGKILL, and waits until it is gone."""
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def restart(self):
        """Starts it again after a kill: same folder, same port."""
        if not self._launch():
            raise RuntimeError(f'{PROGRAM} does not start again: {self.log()}')

    def pause(self):
        self.process.send_signal(signal.SIGSTOP)

    def resume(self):
        self.process.send_signal(signal.SIGCONT)


def read_reply(f):
    """One reply: bytes, with its sign in front if it is a status or an error; int; list; None."""
    line = f.readline()
    if not line.endswith(b'\r\n'):
        raise ConnectionError('the server has gone')
    sign, rest = line[:1], line[1:-2]
    if sign in b'+-':
        return sign + rest
    if sign == b':':
        return int(rest)
    n = int(rest)
    if n < 0:
        return None
    if sign == b'*':
        return [read_reply(f) for _ in range(n)]
    return f.read(n + 2)[:-2]
