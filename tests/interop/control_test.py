#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Celery's own tools against our worker, and ours against Celery's, on one Redis.

BUILD is the build folder. Needs redis-server and Debian's python3-celery; without one of them the
cases are skipped.
"""
import importlib.util
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import redis_server  # noqa: E402
import tap  # noqa: E402

PYTHON = '/usr/bin/python3'
BUILD = pathlib.Path(os.environ['BUILD']).resolve()
ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
SANJAB = BUILD / 'sanjab'
LIMIT = 60
TASKS = '''
#include <sanjab/fiber.h>
#include <sanjab/queue.h>
SJ_TASK(add, int64_t, (int64_t, a), (int64_t, b)) { *ret = a + b; return 0; }
SJ_TASK_OPTIONS(add, .name = "c.add", .rate_limit = "600/m");
SJ_TASK(nap, void, (double, seconds)) { return sj_sleep((sj_time)(seconds * SJ_SEC)); }
SJ_TASK_OPTIONS(nap, .name = "c.nap");
SJ_TASK(boom, void) { return sj_raise(self, "ValueError", "bang"); }
SJ_TASK_OPTIONS(boom, .name = "c.boom");
'''
APP = '''
import os, time
from celery import Celery
app = Celery('proj', broker=os.environ['REDIS'], backend=os.environ['REDIS'])

@app.task(name='p.add')
def add(x, y):
    return x + y

@app.task(name='p.nap')
def nap(seconds):
    time.sleep(seconds)
'''


def eventually(condition, what):
    end = time.monotonic() + LIMIT
    while time.monotonic() < end:
        value = condition()
        if value:
            return value
        time.sleep(0.1)
    raise AssertionError(f'{what}: not within {LIMIT} s')


class Place:
    """A Redis, with a worker of ours named c@here, or of Celery's named p@here."""

    def __init__(self, *kinds):
        self.kinds = kinds
        self.started = []

    def __enter__(self):
        if subprocess.run([PYTHON, '-c', 'import celery, redis'],
                          stderr=subprocess.DEVNULL).returncode != 0:
            raise tap.Skip('python3-celery and python3-redis are not installed')
        self.server = redis_server.RedisServer()
        self.server.__enter__()
        self.folder = tempfile.TemporaryDirectory(prefix='sanjab-interop-')
        self.path = pathlib.Path(self.folder.name)
        self.url = f'redis://127.0.0.1:{self.server.port}/0'
        (self.path / 'tasks.c').write_text(TASKS)
        (self.path / 'proj.py').write_text(APP)
        self.env = {**os.environ, 'REDIS': self.url, 'SANJAB_BROKER_URL': self.url,
                    'PYTHONPATH': str(self.path), 'HOME': str(self.path),
                    'SANJAB_INCLUDE': str(ROOT / 'include')}
        for kind in self.kinds:
            self.start(kind)
        return self

    def __exit__(self, *_):
        for process in self.started:
            process.terminate()
        for process in self.started:
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self.server.__exit__()
        self.folder.cleanup()

    def start(self, kind):
        log = open(self.path / f'{kind}.log', 'w')
        if kind == 'c':
            command = [SANJAB, 'worker', '-A', 'tasks.c', '-n', 'c@here', '-c', '2']
        else:
            command = [PYTHON, '-m', 'celery', '-A', 'proj', 'worker', '-n', 'p@here', '-c', '2',
                       '-l', 'info', '-E', '-Q', 'python']
        process = subprocess.Popen(command, cwd=self.path, env=self.env, stdout=log, stderr=log)
        self.started.append(process)

        def is_ready():
            assert process.poll() is None, self.log(kind)
            return re.search(r'\bready\b', self.log(kind))
        eventually(is_ready, f'{kind} is ready')
        return process

    def log(self, kind):
        return (self.path / f'{kind}.log').read_text()

    def sanjab(self, *args, status=0):
        done = subprocess.run([SANJAB, *args], cwd=self.path, env=self.env, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=LIMIT)
        assert done.returncode == status, (args, done)
        return done.stdout

    def celery(self, *args, status=0):
        done = subprocess.run([PYTHON, '-m', 'celery', '-A', 'proj', *args], cwd=self.path,
                              env=self.env, text=True, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, timeout=LIMIT)
        assert done.returncode == status, (args, done)
        return done.stdout

    def python(self, text):
        """What the program prints, as a value of JSON."""
        text = 'import json\nfrom proj import app\n' + text
        done = subprocess.run([PYTHON, '-c', text], cwd=self.path, env=self.env, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=LIMIT)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)


# ---- Celery's tools, our worker

# Each start of Celery's command takes seconds, so most is asked by one program of its library.
def test_celery_inspect_reads_our_worker():
    with Place('c') as place:
        assert '1 node online' in place.celery('status')
        task, answers = place.python("""
import time
task = app.send_task('c.nap', [60]).id
i = app.control.inspect(destination=['c@here'], limit=1)
while not i.active()['c@here']:
    time.sleep(0.1)
print(json.dumps([task, {name: getattr(i, name)()['c@here'] for name in (
    'ping', 'active', 'reserved', 'scheduled', 'registered', 'stats', 'active_queues', 'clock',
    'conf', 'report', 'revoked')} | {'query': i.query_task(task)['c@here']}]))
""")
        assert answers['ping'] == {'ok': 'pong'}
        assert answers['registered'] == ['c.add [rate_limit=10/s]', 'c.boom', 'c.nap']
        assert [(t['id'], t['name'], t['args'], t['hostname']) for t in answers['active']] == \
            [(task, 'c.nap', [60], 'c@here')], answers
        assert answers['query'][task][0] == 'active'
        assert answers['reserved'] == answers['scheduled'] == answers['revoked'] == []
        stats = answers['stats']
        assert stats['pool']['max-concurrency'] == 2 and stats['broker']['transport'] == 'redis'
        assert stats['broker']['port'] == place.server.port, stats['broker']
        assert [q['name'] for q in answers['active_queues']] == ['celery']
        assert answers['conf']['worker_concurrency'] == 2
        assert 'sanjab' in answers['report']['ok']
        assert isinstance(answers['clock']['clock'], int)
        assert task in place.celery('inspect', 'active')
        assert json.loads(place.celery('inspect', 'stats', '-j'))['c@here']['pid'] == stats['pid']


# The same two tasks, each sent to one worker: but for what is the worker's own both say the same.
def test_scheduled_tasks_look_as_with_celery():
    with Place('c', 'p') as place:
        ours, theirs, many = place.python("""
import datetime, time
def scheduled(node, enough):
    for _ in range(200):
        found = app.control.inspect(destination=[node], limit=1, timeout=30).scheduled()[node]
        if enough(found):
            break
        time.sleep(0.1)
    return found
eta = datetime.datetime(2099, 1, 2, 3, 4, 5, 678, tzinfo=datetime.timezone.utc)
for name, queue in ('c.nap', 'celery'), ('p.nap', 'python'):
    app.send_task(name, [60], {'a': 'b'}, queue=queue, eta=eta, task_id='the id')
ours, theirs = scheduled('c@here', len), scheduled('p@here', len)
for i in range(1005):
    app.send_task('c.nap', [i], countdown=3600 + i)
print(json.dumps([ours, theirs, scheduled(
    'c@here', lambda found: found[-1]['request']['name'] == 'and 6 more')]))
""")
        assert len(ours) == 1 and len(theirs) == 1, (ours, theirs)
        for answer in ours, theirs:
            for name in 'name', 'type', 'hostname':
                answer[0]['request'].pop(name)
            answer[0]['request']['delivery_info'].pop('routing_key')
            answer[0].pop('priority')  # Celery's is that of its timer's entries
        assert ours == theirs, (ours, theirs)
        assert len(many) == 1001 and [x['request']['args'] for x in many[:1000]] == \
            [[i] for i in range(1000)]
        assert many[1000]['request']['name'] == 'and 6 more', many[1000]
        assert many[1000].keys() == many[0].keys()
        assert many[1000]['request'].keys() == many[0]['request'].keys()
        assert many[0]['request']['id'] in place.celery('inspect', 'scheduled', '-d', 'c@here')


def test_celery_control_steers_our_worker():
    with Place('c') as place:
        assert 'pool will grow' in place.celery('control', 'pool_grow', '1')
        assert 'task events enabled' in place.celery('control', 'enable_events')
        said = place.python("""
def tell(method, **arguments):
    return app.control.broadcast(method, arguments=arguments, reply=True, limit=1,
                                 destination=['c@here'], timeout=30)[0]['c@here']
print(json.dumps([
    tell('stats')['pool']['max-concurrency'], tell('pool_shrink', n=1), tell('disable_events'),
    tell('add_consumer', queue='other'), app.send_task('c.add', [2, 3], queue='other').get(timeout=60),
    tell('cancel_consumer', queue='other'), tell('rate_limit', task_name='c.add', rate_limit='100/s'),
    tell('rate_limit', task_name='c.add', rate_limit=None), tell('heartbeat'),
    tell('time_limit', task_name='c.nap', soft=30, hard=40), tell('autoscale', max=3, min=1),
    tell('nosuch')]))
""")
        assert said == [
            3, {'ok': 'pool will shrink'}, {'ok': 'task events disabled'},
            {'ok': 'add consumer other'}, 5, {'ok': 'no longer consuming from other'},
            {'ok': 'new rate limit set successfully'}, {'ok': 'rate limit disabled successfully'},
            None, {'ok': 'time limits set successfully'},
            {'error': "ValueError('Autoscale not enabled')"}, {'error': "KeyError('nosuch')"}], said
        place.celery('control', 'shutdown', status=69)  # nobody answers that
        assert place.started[0].wait(30) == 0, place.log('c')


# What a fleet says that has task_serializer and accept_content = msgpack.
MSGPACK = '''
app.conf.update(task_serializer='msgpack', accept_content=['msgpack'])
'''


def needs_msgpack():
    if not importlib.util.find_spec('msgpack'):
        raise tap.Skip('python3-msgpack is not installed')


def test_celery_that_accepts_msgpack_alone_is_answered_in_it():
    needs_msgpack()
    with Place('c') as p:
        said = p.python(MSGPACK + '''
i = app.control.inspect(timeout=5, limit=1)
print(json.dumps([i.ping(), sorted(i.stats()["c@here"])[:1],
                  app.control.ping(timeout=5, limit=1)]))
''')
        assert said[0] == {'c@here': {'ok': 'pong'}}, said
        assert said[1], said
        assert said[2] == [{'c@here': {'ok': 'pong'}}], said


def test_our_commands_reach_a_celery_that_accepts_msgpack_alone():
    needs_msgpack()
    with Place() as p:
        with open(p.path / 'proj.py', 'a') as f:
            f.write(MSGPACK)
        p.start('python')
        p.sanjab('inspect', 'ping', '--timeout', '1', status=3)
        p.env['SANJAB_TASK_SERIALIZER'] = 'msgpack'
        said = p.sanjab('inspect', 'ping', '--timeout', '5')
        assert 'pong' in said and 'p@here' in said, said


def test_a_purge_says_what_waits_in_vain():
    with Place() as p:
        p.python('''
from celery import chord
def s(name): return app.signature(name, args=(1, 2), queue="celery")
chord([s("c.add"), s("c.add")])(s("c.add"))
(s("c.add") | s("c.add")).apply_async()
s("c.add").apply_async(link_error=s("c.boom"))
s("c.add").apply_async(countdown=60)
s("c.add").apply_async()
print(1)
''')
        assert json.loads(p.sanjab('purge', '--yes', '--json')) == {'removed': 6, 'awaited': 4}


def test_celery_revokes_and_terminates_what_is_ours():
    with Place('c') as place:
        states = place.python('''
import time
runs = app.send_task('c.nap', [60])
while not app.control.inspect().active()['c@here']:
    time.sleep(0.1)
app.control.revoke('later', reply=True)
later = app.send_task('c.add', [1, 2], task_id='later')
said = app.control.revoke(runs.id, terminate=True, signal='SIGKILL', reply=True, limit=1, timeout=30)
states = []
for r in (runs, later):
    try:
        r.get(timeout=60)
    except Exception as e:
        states.append([r.state, type(e).__name__, str(e)])
print(json.dumps([states, said == [{'c@here': {'ok': 'terminate: ' + runs.id}}]]))
''')
        assert states == [[['REVOKED', 'TaskRevokedError', 'terminated'],
                           ['REVOKED', 'TaskRevokedError', 'revoked']], True], states


def test_celery_sees_our_events():
    with Place('c') as place:
        seen = place.python('''
import threading, time
from celery.events.state import State
state, types = State(), []
def event(e):
    state.event(e)
    types.append(e['type'])
app.control.enable_events(reply=True)
with app.connection() as c:
    receiver = app.events.Receiver(c, handlers={'*': event})
    sent = []
    def send():
        time.sleep(1)
        sent.append(app.send_task('c.add', [2, 3]).id)
        sent.append(app.send_task('c.boom').id)
    threading.Thread(target=send).start()
    end = time.time() + 30
    while time.time() < end and not {'task-succeeded', 'task-failed', 'worker-heartbeat'} <= set(types):
        try:
            receiver.capture(limit=None, timeout=1, wakeup=False)
        except Exception:
            pass
add, boom = (state.tasks[i] for i in sent)
w = state.workers['c@here']
print(json.dumps([[add.state, add.name, add.args, add.result, add.runtime >= 0, add.worker.hostname],
                  [boom.state, boom.exception], [w.alive, w.sw_ident, w.freq]]))
''')
        # The arguments as the client has written them: a list was given.
        assert seen == [['SUCCESS', 'c.add', '[2, 3]', '5', True, 'c@here'],
                        ['FAILURE', "ValueError('bang')"], [True, 'sanjab', 2.0]], seen


def test_celery_events_dumps_what_we_tell():
    with Place('c') as place:
        dump = subprocess.Popen([PYTHON, '-m', 'celery', '-A', 'proj', 'events', '--dump'],
                                cwd=place.path, env=place.env, text=True, stdout=subprocess.PIPE,
                                stderr=subprocess.STDOUT)
        try:
            text = ''
            while 'heartbeat' not in text:
                text = dump.stdout.readline()
                assert text, 'it has ended'
            assert 'c@here' in text, text
        finally:
            dump.terminate()
            dump.wait()
            dump.stdout.close()


# ---- our tools, Celery's worker

def test_our_inspect_and_control_reach_celerys_worker():
    with Place('p') as place:
        def ask(*args):
            return json.loads(place.sanjab('inspect', *args, '--json'))['p@here']
        assert ask('ping') == {'ok': 'pong'}
        assert ask('registered') == ['p.add', 'p.nap']
        assert ask('stats')['pool']['max-concurrency'] == 2
        assert [q['name'] for q in ask('active_queues')] == ['python']
        assert 'sw' not in ask('conf') and ask('conf')['broker_url'] == place.url
        assert 'celery:5' in place.sanjab('inspect', 'report')
        task = place.sanjab('call', 'p.nap', '-a', '[60]', '-q', 'python').strip()
        active = eventually(lambda: ask('active'), 'it runs')
        assert [t['id'] for t in active] == [task]
        assert task in place.sanjab('inspect', 'active')
        assert ask('query_task', task)[task][0] == 'active'
        assert 'rate limit' in place.sanjab('control', 'rate_limit', 'p.add', '10/m')
        place.sanjab('control', 'rate_limit', 'p.nobody', '10/m', status=1)
        assert 'time limits set' in place.sanjab('control', 'time_limit', 'p.nap', '90')
        assert 'pool will grow' in place.sanjab('control', 'pool_grow', '1')
        assert 'add consumer more' in place.sanjab('control', 'add_consumer', 'more')
        assert f'terminate: {task}' in place.sanjab('control', 'revoke', task, '--terminate')
        place.sanjab('result', task, '--wait', '30', status=1)
        assert ask('revoked') == [task]
        assert 'p@here' in place.sanjab('status')
        place.sanjab('control', 'shutdown')
        assert place.started[0].wait(30) == 0, place.log('p')


def test_our_events_show_celerys_worker():
    with Place('p') as place:
        watch = subprocess.Popen([SANJAB, 'events', '--json'], cwd=place.path, env=place.env,
                                 text=True, stdout=subprocess.PIPE)
        try:
            first = json.loads(watch.stdout.readline())
            assert (first['type'], first['hostname']) == ('worker-heartbeat', 'p@here'), first
            assert place.sanjab('call', 'p.add', '-a', '[2, 3]', '-q', 'python', '--wait') == '5\n'
            seen = []
            while 'task-succeeded' not in seen:
                event = json.loads(watch.stdout.readline())
                seen += [event['type']] if event['type'].startswith('task-') else []
            assert seen == ['task-received', 'task-started', 'task-succeeded'], seen
            assert event['result'] == '5', event
        finally:
            watch.terminate()
            watch.wait()
            watch.stdout.close()


# ---- both

def test_workers_of_both_kinds_mingle():
    with Place('c') as place:
        place.sanjab('control', 'revoke', 'never')
        place.start('p')  # asks ours at its start
        assert json.loads(place.sanjab('inspect', 'revoked', '--json')) == {
            'c@here': ['never'], 'p@here': ['never']}
        assert 'sync with 1 nodes' in place.log('p') and 'sync complete' in place.log('p')
        place.sanjab('control', 'revoke', 'nor', '-d', 'p@here')
        place.started[0].terminate()
        assert place.started[0].wait(30) == 0
        place.start('c')  # asks Celery's
        both = eventually(
            lambda: len(json.loads(place.sanjab('inspect', 'revoked', '--json'))['c@here']) == 2,
            'ours knows both')
        assert both
        answers = json.loads(place.sanjab('inspect', 'ping', '--json'))
        assert answers == {'c@here': {'ok': 'pong'}, 'p@here': {'ok': 'pong'}}, answers
        assert 'drift' not in place.log('p'), place.log('p')


if __name__ == '__main__':
    tap.run(globals())
