#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""The squirrel as its user sees it: a farm of pretend sites, checked in each mode."""
import http.server
import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import threading
import time

from program import BUILD, Place, eventually, needs_sqlite

import tap

SQUIRREL = BUILD / 'squirrel'
FOLDER = pathlib.Path(tempfile.mkdtemp(prefix='sanjab-squirrel-'))
FARM = '''\
# NAME MILLISECONDS OUTCOME [OWNER]
up.test        5 200
moved.test    10 204 Mona
teapot.test   10 418 tea@teapot.test
broken.test   10 reset Bob
gone.test      0 unknown gina@gone.test
silent.test    0 silent
'''
DOWN = {'teapot.test', 'broken.test', 'gone.test', 'silent.test'}


def run(*arguments, **more):
    return subprocess.run([SQUIRREL, *map(str, arguments)], stdin=subprocess.DEVNULL, text=True,
                          capture_output=True, timeout=120, cwd=FOLDER, **more)


class Farm:
    def __enter__(self):
        (FOLDER / 'farm').write_text(FARM)
        for name in ('sites', 'hosts'):
            (FOLDER / name).unlink(missing_ok=True)
        self.process = subprocess.Popen([SQUIRREL, 'farm', '--sites', 'sites', '--hosts', 'hosts',
                                         'farm'], cwd=FOLDER, stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE)
        end = time.monotonic() + 60
        while not (FOLDER / 'sites').exists():
            assert self.process.poll() is None and time.monotonic() < end
            time.sleep(0.02)
        self.env = dict(os.environ, SANJAB_HOSTS=str(FOLDER / 'hosts'))
        return self

    def __exit__(self, *error):
        self.process.send_signal(signal.SIGTERM)
        self.status = self.process.wait(60)

    def check(self, *arguments):
        return run('check', '--timeout', 1, *arguments, 'sites', env=self.env)


def down_of(row):
    return {site['url'].split('/')[2].split(':')[0] for site in row['down']}


def test_every_mode_finds_the_same_sites_down():
    with Farm() as farm:
        for mode in ('serial', 'threads', 'futures', 'processes', 'fibers'):
            done = farm.check('--mode', mode, '--json')
            assert done.returncode == 1, (mode, done)
            row, = json.loads(done.stdout)
            assert row['mode'] == mode and row['checked'] == 6
            assert down_of(row) == DOWN, (mode, row)
            reasons = {site['url'].split('/')[2].split(':')[0]: site for site in row['down']}
            assert reasons['teapot.test']['status'] == 418
            assert reasons['teapot.test']['owner'] == 'tea@teapot.test'
            assert 'does not resolve' in reasons['gone.test']['reason']
            assert 'timed out' in reasons['silent.test']['reason']
    assert farm.status == 0


def test_a_worker_finds_the_same_sites_down():
    needs_sqlite()
    with Farm() as farm, Place('sqlite:jobs.db') as place:
        broker = f'sqlite:{place.path}/work/jobs.db'
        for pool in ('prefork', 'threads', 'fibers', 'solo'):
            worker = place.worker('-A', BUILD / 'apps' / 'squirrel' / 'libsquirrel_tasks.so',
                                  '-P', pool, '-n', pool,
                                  SANJAB_HOSTS=farm.env['SANJAB_HOSTS'])
            done = farm.check('--mode', 'queue', '--broker', broker, '--json')
            assert done.returncode == 1, (pool, done, worker.text())
            row, = json.loads(done.stdout)
            assert row['mode'] == 'queue' and down_of(row) == DOWN, (pool, row)
            worker.stop()


def test_the_table_names_those_that_are_down():
    with Farm() as farm:
        done = farm.check()
    assert done.returncode == 1 and done.stderr == ''
    lines = done.stdout.splitlines()
    assert lines[0].split() == ['mode', 'time', 'faster', 'checked', 'down']
    assert lines[1].split()[0] == 'fibers' and '4 of 6 sites are down:' in lines
    assert '\x1b' not in done.stdout


def test_all_up_is_status_0():
    with Farm() as farm:
        port = (FOLDER / 'sites').read_text().split(':')[2].split()[0]
        (FOLDER / 'sites').write_text(f'http://up.test:{port} Ulla # all is well\n')
        done = farm.check()
    assert done.returncode == 0 and 'all 1 sites are up' in done.stdout, done


def test_an_owner_is_notified_by_a_command():
    with Farm() as farm:
        done = farm.check('--notify', 'echo "$SQUIRREL_OWNER|$SQUIRREL_STATUS|$SQUIRREL_REASON" '
                          '>> notes')
    notes = (FOLDER / 'notes').read_text()
    assert done.returncode == 1, done
    assert 'tea@teapot.test|418|the answer is 418\n' in notes
    assert len(notes.splitlines()) == len(DOWN)


def test_a_command_that_fails_is_told():
    with Farm() as farm:
        done = farm.check('--notify', 'false')
    assert done.returncode == 2 and 'the command has failed' in done.stderr, done


def test_an_owner_is_notified_by_a_webhook():
    got = []

    class Hook(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            got.append(json.loads(self.rfile.read(int(self.headers['Content-Length']))))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Hook)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with Farm() as farm:
        done = farm.check('--notify', f'http://127.0.0.1:{server.server_port}/hook')
    server.shutdown()
    assert done.returncode == 1, done
    assert {note['owner'] for note in got} == {'tea@teapot.test', 'Bob', 'gina@gone.test', ''}
    assert {note['status'] for note in got} == {0, 418}


def expect_fault(done, *parts):
    assert done.returncode == 2, done
    for part in parts:
        assert part in done.stderr, (part, done.stderr)


def test_a_broken_line_is_told_with_its_place():
    bad = FOLDER / 'bad'
    for text, place, what in (('http://a.test\nftp://b.test\n', 'bad:2', 'http:// or https://'),
                              ('http://\n', 'bad:1', 'no host'),
                              ('# nothing\n', 'bad', 'no site'),
                              ('http://a.test/' + 'x' * 3000 + '\n', 'bad:1', '2000 bytes'),
                              ('http://a\x01b.test\n', 'bad:1', 'control character')):
        bad.write_text(text)
        expect_fault(run('check', 'bad'), place, what)
    bad.write_bytes(b'http://a.test\0\n')
    expect_fault(run('check', 'bad'), 'bad:1', 'zero byte')
    expect_fault(run('check', 'nowhere'), 'nowhere', 'No such file')


def test_a_broken_farm_is_told_with_its_place():
    bad = FOLDER / 'badfarm'
    for text, what in (('a.test\n', 'NAME DELAY OUTCOME'), ('a.test x 200\n', 'milliseconds'),
                       ('a.test 1 99\n', '200 to 599')):
        bad.write_text('# one\n' + text)
        expect_fault(run('farm', 'badfarm'), 'badfarm:2', what)


def test_a_port_in_use_is_told():
    with Farm():
        port = (FOLDER / 'sites').read_text().split(':')[2].split()[0]
        expect_fault(run('farm', '--port', port, 'farm'), port, 'in use')


def dump_of(process):
    """What the process says of its fibers, when it is asked to."""
    process.send_signal(signal.SIGUSR1)
    text = b''
    while not text.endswith(b' fibers\n'):
        line = process.stderr.readline()
        assert line, text
        text += line
    return text


def test_a_farm_shows_its_fibers_on_request():
    with Farm() as farm:
        text = eventually(lambda: b'waits for' in (text := dump_of(farm.process)) and text,
                          'a farm at rest')
        assert b'fiber "serve"' in text, text
        assert farm.check().returncode == 1
    assert farm.status == 0


def test_a_check_shows_its_fibers_on_request():
    def takes_the_signal():
        status = pathlib.Path(f'/proc/{check.pid}/status').read_text()
        blocked = int(status.split('SigBlk:')[1].split()[0], 16)
        return blocked >> (signal.SIGUSR1 - 1) & 1

    with Farm() as farm:
        for mode, what in (('serial', b'run_in_loop'), ('fibers', b'check_rest')):
            check = subprocess.Popen([SQUIRREL, 'check', '--mode', mode, '--timeout', '2', 'sites'],
                                     cwd=FOLDER, env=farm.env, stdin=subprocess.DEVNULL,
                                     stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
            eventually(takes_the_signal, 'the check takes SIGUSR1')
            text = eventually(lambda: b'waits for' in (text := dump_of(check)) and text,
                              'a check that waits')
            assert what in text, text
            assert check.wait(60) == 1
            check.stderr.close()


def test_a_wrong_command_line_is_told():
    (FOLDER / 'list').write_text('http://a.test\n')
    expect_fault(run('check', '--mode', 'magic', 'list'), "no mode 'magic'")
    expect_fault(run('check', '--workers', '0', 'list'), '--workers', "'0'")
    expect_fault(run('check', '--timeout', 'soon', 'list'), '--timeout', "'soon'")
    expect_fault(run('check'), 'which sites')
    expect_fault(run('chek'), "no command 'chek'")
    expect_fault(run('check', '--slowly', 'list'), '--slowly is no option')
    expect_fault(run('check', 'list', '--timeout'), '--timeout needs a value')
    expect_fault(run('farm', '--port', '0', 'farm'), '--port', "'0'")
    for arguments in (('--help',), ('check', '--help'), ('farm', '--help')):
        assert run(*arguments).returncode == 0 and 'usage:' in run(*arguments).stdout, arguments


try:
    status = tap.main(globals())
finally:
    import shutil
    shutil.rmtree(FOLDER, ignore_errors=True)
sys.exit(status)
