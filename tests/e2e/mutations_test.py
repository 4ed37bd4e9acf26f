#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""10,000 random mutations of the messages that Celery sends, through Redis to a whole worker.

  MUTATIONS=10000 SEED=1   how many, and which

Each has an end that somebody can see: it is a dead letter with its reason and its very bytes, or
its task has an outcome, or it is not due yet. The worker lives, and nothing is left over.
"""
import base64
import json
import os
import pathlib
import random
import re
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import tap  # noqa: E402
from redis_server import RedisServer  # noqa: E402

BUILD = pathlib.Path(os.environ['BUILD']).resolve()
TESTDATA = pathlib.Path(__file__).resolve().parent.parent.parent / 'src' / 'queue' / 'testdata'
MUTATIONS = int(os.environ.get('MUTATIONS', 10000))
SEED = int(os.environ.get('SEED', 1))
PATIENCE = 60
MEMORY = 128  # MiB
BATCH = 250
FINAL = ('SUCCESS', 'FAILURE', 'REVOKED', 'RETRY', 'REJECTED', 'IGNORED')
PIECES = [p.encode() for p in (
    'null', '[]', '{}', '-1', '1e999', '""', '99999999999999999999', 'true', '[[[[[[[[[[',
    '\\ud800', '"chord"', '"options"', ',', ':', 'NaN', '\\u0000')]


def sound_messages():
    """Those of tasks, as texts; each twice: as it came, and with its body not in base64."""
    for path in sorted(TESTDATA.glob('*.json')):
        text = path.read_text()
        m = json.loads(text)
        if path.name.startswith('result-') or 'task' not in (m.get('headers') or {}):
            continue
        # What lets an end be seen, and one be told from others.
        m['headers']['ignore_result'] = False
        for body in ('as it came', 'plain'):
            if body == 'plain':
                if m['content-encoding'] != 'utf-8' or 'compression' in m['headers'] or \
                        m['properties'].pop('body_encoding', None) != 'base64':
                    continue
                m['body'] = base64.b64decode(m['body']).decode()
            yield json.dumps(m), m['headers']['id']


def mutate(text, dice):
    for _ in range(dice.randint(1, 4)):
        at, piece = dice.randrange(max(1, len(text))), dice.choice(PIECES)
        how = dice.randrange(4)
        if how == 0:
            text[at:at + 1] = bytes([dice.randrange(256)])
        elif how == 1:
            del text[at:at + dice.randrange(40)]
        elif how == 2:
            text[at:at] = piece
        else:
            text[at:at + len(piece)] = piece
    return bytes(text)


def mutations():
    """By their bytes: the id that each had before."""
    dice = random.Random(SEED)
    sound = list(sound_messages())
    made = {}
    while len(made) < MUTATIONS:
        text, known = dice.choice(sound)
        name = f'{len(made):08x}-0000-4000-8000-{dice.getrandbits(48):012x}'
        text = text.replace(known, name)
        # Half of them of a task that the worker knows.
        if dice.randrange(2):
            text = re.sub(r'("task": )"[^"]*"', r'\1"c.nothing"', text, count=1)
        made[mutate(bytearray(text.encode()), dice)] = name
    return made


def id_of(text, name):
    """The id under which it goes: it may have been mutated itself."""
    try:
        return str(json.loads(text)['headers']['id'])
    except (ValueError, KeyError, TypeError):
        return name


def bytes_of(value):
    """A text of a dead letter: one that is no UTF-8 is a list of its bytes."""
    return bytes(value) if isinstance(value, list) else value.encode()


class Case:
    """A worker, and all mutations pushed to its queue."""

    def __init__(self, server, folder):
        self.server = server
        self.made = mutations()
        with open(folder / 'log', 'ab') as log:
            self.worker = subprocess.Popen(
                [BUILD / 'sanjab', 'worker', '-A', BUILD / 'tests/libinterop_tasks.so', '-c', '2',
                 '-n', 'w@h', '-l', 'critical', '-b', server.url],
                env={**os.environ, 'HOME': str(folder), 'SANJAB_RESULT_BACKEND': server.url},
                cwd=folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        texts = list(self.made)
        for i in range(0, len(texts), BATCH):
            server.ask('LPUSH', 'celery', *texts[i:i + BATCH])

    def is_over(self):
        """Nothing is ready or taken: what is in `unacked` waits for its time."""
        assert self.worker.poll() is None, 'the worker has ended'
        ask = self.server.ask
        return ask('LLEN', 'celery') == 0 and \
            ask('HLEN', 'unacked') == ask('ZCARD', 'sanjab.delayed')

    def wait(self):
        end = time.monotonic() + PATIENCE
        calm = 0
        while calm < 5:
            calm = calm + 1 if self.is_over() else 0
            assert time.monotonic() < end, f'not over within {PATIENCE} s'
            time.sleep(0.05)

    def letters(self):
        """(reason, envelope, id)... of all that are dead."""
        pairs = self.server.ask('HGETALL', 'sanjab.dead')
        for name, letter in zip(pairs[::2], pairs[1::2]):
            letter = json.loads(letter)
            yield bytes_of(letter['reason']), bytes_of(letter['envelope']), name

    def state(self, name):
        text = self.server.ask('GET', f'celery-task-meta-{name}'.encode(errors='surrogatepass'))
        return json.loads(text)['status'] if text else None

    def delayed(self):
        """The texts of entries that are not due."""
        return [json.loads(v)[0] for v in self.server.ask('HVALS', 'unacked')]

    def judge(self):
        """What became of them, by kinds."""
        dead = {}
        for reason, envelope, name in self.letters():
            assert reason.strip(), f'{name} is dead without a reason'
            dead[envelope] = name
        later = '\n'.join(json.dumps(m) for m in self.delayed())
        counts = {'dead': 0, 'ended': 0, 'later': 0}
        lost = []
        for text, name in self.made.items():
            if text in dead:
                counts['dead'] += 1
            elif self.state(id_of(text, name)) in FINAL:
                counts['ended'] += 1
            elif name in later:
                counts['later'] += 1
            else:
                lost.append((name, text))
        return counts, lost


def test_ten_thousand_mutations_each_have_an_end():
    with RedisServer() as server, tempfile.TemporaryDirectory(prefix='sanjab-mutations-') as name:
        folder = pathlib.Path(name)
        case = Case(server, folder)
        try:
            case.wait()
            counts, lost = case.judge()
            print('#', counts, 'lost', len(lost))
            status = pathlib.Path(f'/proc/{case.worker.pid}/status').read_text()
            most = int(re.search(r'VmHWM:\s+(\d+) kB', status).group(1)) >> 10
            print(f'# the most memory: {most} MiB')
            assert not lost, lost[:3]
            assert most < MEMORY, f'{most} MiB'
        finally:
            case.worker.kill()
            case.worker.wait()


tap.run(globals())
