#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""A real Celery worker runs the messages that we write.

BUILD is the build folder. Needs Debian's python3-celery; without it the cases are skipped. The
worker reads its messages from a folder, by its filesystem transport, so that no server is needed.
"""
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import tap  # noqa: E402

PYTHON = '/usr/bin/python3'
BUILD = pathlib.Path(os.environ['BUILD'])
APP = '''
import os
from celery import Celery
here = os.environ['PLACE']
app = Celery('proj', broker='filesystem://', backend='file://' + here + '/results')
app.conf.accept_content = ['json', 'msgpack']
app.conf.broker_transport_options = {
    'data_folder_in': here + '/queue', 'data_folder_out': here + '/queue',
    'control_folder': here + '/control'}

@app.task(name='proj.add', bind=True)
def add(self, x, y, k=None):
    r = self.request
    return {'sum': x + y, 'k': k, 'root': r.root_id, 'parent': r.parent_id,
            'timelimit': r.timelimit, 'argsrepr': r.argsrepr, 'kwargsrepr': r.kwargsrepr,
            'priority': r.delivery_info['priority'], 'eta': r.eta, 'expires': r.expires}

@app.task(name='proj.boom')
def boom():
    raise ValueError('bang', 42)

@app.task(name='proj.one')
def one(x):
    return x

@app.task(name='proj.echo')
def echo(*args):
    return list(args)
'''
WRITTEN = ('packed', 'packed-zlib', 'bzip2', 'zlib')
IDS = ('add', 'boom', 'odd', 'then', 'otherwise', *WRITTEN)


def run_worker(place):
    """All results, by id; those that did not come in time are missing."""
    results = {}
    env = dict(os.environ, PLACE=str(place), PYTHONPATH=str(place), HOME=str(place))
    with open(place / 'log', 'w') as log:
        worker = subprocess.Popen(
            [PYTHON, '-m', 'celery', '-A', 'proj', 'worker', '-P', 'solo', '-l', 'info',
             '--without-gossip', '--without-mingle', '--without-heartbeat'],
            cwd=place, env=env, stdout=log, stderr=log)
        try:
            end = time.monotonic() + 60
            while len(results) < len(IDS) and time.monotonic() < end and worker.poll() is None:
                time.sleep(0.1)
                for name in IDS:
                    file = place / 'results' / f'celery-task-meta-{name}'
                    try:
                        results[name] = json.loads(file.read_text())
                    except (OSError, ValueError):
                        pass
        finally:
            worker.kill()
            worker.wait()
    return results


def load():
    if subprocess.run([PYTHON, '-c', 'import celery'], stderr=subprocess.DEVNULL).returncode:
        return None, ''
    with tempfile.TemporaryDirectory(prefix='sanjab-interop-') as name:
        place = pathlib.Path(name)
        for folder in ('queue', 'control', 'results'):
            (place / folder).mkdir()
        (place / 'proj.py').write_text(APP)
        subprocess.run([BUILD / 'tests' / 'envelopes', place / 'queue'], check=True,
                       stdout=subprocess.DEVNULL)
        return run_worker(place), (place / 'log').read_text()


RESULTS, LOG = load()


def result(name, status):
    if RESULTS is None:
        raise tap.Skip('python3-celery is not installed')
    assert name in RESULTS, f'no result of {name}:\n{LOG}'
    assert RESULTS[name]['status'] == status, RESULTS[name]
    return RESULTS[name]


def test_arguments_and_headers_arrive():
    said = result('add', 'SUCCESS')['result']
    assert said['sum'] == 5 and said['k'] == [None, 1.5, 'h\u00e9'], said
    assert said['root'] == 'add' and said['parent'] is None, said
    assert said['timelimit'] == [20, 10.5] and said['priority'] == 3, said
    assert said['argsrepr'] == '(2, 3)', said
    assert said['kwargsrepr'] == "{'k': [None, 1.5, 'h\u00e9']}", said
    assert said['eta'].endswith('+00:00') and said['expires'].endswith('+00:00'), said


def test_python_numbers_and_strings_arrive():
    said = result('odd', 'SUCCESS')['result']
    assert said[0] != said[0] and said[1:] == [123456789012345678901234567890, '\ud800'], said


def test_bodies_in_msgpack_and_compressed_arrive():
    for name in WRITTEN:
        said = result(name, 'SUCCESS')['result']
        assert said == [1, -7, 1.5, None, 'h\u00e9', {'k': [True]}], (name, said)


def test_a_link_runs_with_the_result():
    said = result('then', 'SUCCESS')
    assert said['result'][0]['sum'] == 5 and said['result'][1] == 'after', said
    assert result('add', 'SUCCESS')['children'] == [[['then', None], None]]


def test_an_errback_runs_with_the_id():
    assert result('boom', 'FAILURE')['result']['exc_message'] == ['bang', 42]
    assert result('otherwise', 'SUCCESS')['result'] == 'boom'


tap.run(globals())
