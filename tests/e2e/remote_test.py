#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Workers are asked, told and watched: sanjab inspect, control and events, on a queue in a file."""
import contextlib
import fcntl
import json
import os
import pty
import re
import select
import signal
import sqlite3
import struct
import subprocess
import sys
import termios

from program import ROOT, SANJAB, Place, eventually, needs_no_sanitizer, needs_sqlite

import tap

BROKER = 'sqlite:jobs.db'
TASKS = '''
#include <sanjab/fiber.h>
#include <sanjab/queue.h>
SJ_TASK(multiply, int64_t, (int64_t, a), (int64_t, b)) { *ret = a * b; return 0; }
SJ_TASK(nap, void, (double, seconds)) { return sj_sleep((sj_time)(seconds * SJ_SEC)); }
SJ_TASK_OPTIONS(nap, .rate_limit = "100/s");
'''


def shop():
    place = Place(BROKER)
    place.write('tasks.c', TASKS)
    return place


def ask(place, *args):
    """The answers as an object."""
    return place.run('inspect', *args, '--json').expect(0).json()


# ---- the command line

def test_wrong_words_are_refused_with_the_nearest_right_one():
    with Place(BROKER) as place:
        place.run('inspect').expect(2, 'see sanjab inspect --help')
        place.run('inspect', 'actve').expect(2, "did you mean 'active'?")
        place.run('control', 'revok', 'x').expect(2, "did you mean 'revoke'?")
        place.run('control', 'ping').expect(2, "control does not know 'ping'")
        place.run('inspect', 'ping', '--signal', 'TERM').expect(2, 'no option --signal')
        place.run('control', 'shutdown', '--terminate').expect(2, 'go with revoke')
        place.run('events', 'x').expect(2, "does not take 'x'")


def test_completion_offers_each_word():
    script = ROOT / 'completions' / 'sanjab.bash'
    for name in 'inspect', 'control':
        with Place() as place:
            said = place.run(name, '--help').expect(0).out
        done = subprocess.run(
            ['bash', '-c', 'source "$0"; COMP_WORDS=(sanjab "$1" ""); COMP_CWORD=2; _sanjab; '
             'printf "%s\\n" "${COMPREPLY[@]}"', script, name],
            text=True, stdout=subprocess.PIPE, check=True)
        words = set(re.findall(r'^  (\w+)', said.split('commands:')[1].split('options:')[0], re.M))
        assert set(done.stdout.split()) == words, words ^ set(done.stdout.split())
        page = (ROOT / 'docs' / 'man' / f'sanjab-{name}.1').read_text()
        assert set(re.findall(r'^\.It Cm (\w+)', page, re.M)) == words


# ---- asking and telling

def test_nobody_who_could_answer_is_said():
    with shop() as place:
        place.run('call', 'multiply', '-a', '[1, 2]').expect(0)
        place.run('inspect', 'ping').expect(3, 'is alive')


def test_a_worker_is_asked():
    with shop() as place:
        place.write('sanjab.conf', '[task_routes]\nnap = celery\n\n'
                                   '[broker_transport_options]\npassword = hidden\n')
        place.worker('-A', 'tasks.c', '-n', 'w1@here', '-c', '2')
        assert ask(place, 'ping') == {'w1@here': {'ok': 'pong'}}
        assert ask(place, 'registered') == {'w1@here': ['multiply', 'nap [rate_limit=100/s]']}
        assert place.run('call', 'multiply', '-a', '[6, 7]', '--wait').expect(0).out == '42\n'
        stats = ask(place, 'stats')['w1@here']
        assert stats['total'] == {'multiply': 1} and stats['pool']['max-concurrency'] == 2, stats
        assert len(stats['pool']['processes']) == 2 and isinstance(stats['clock'], str)
        task = place.run('call', 'nap', '-a', '[60]').expect(0).out.strip()
        active = eventually(lambda: ask(place, 'active')['w1@here'], 'it runs')
        assert [(a['id'], a['name'], a['args']) for a in active] == [(task, 'nap', [60])]
        place.run('inspect', 'active').expect(0, 'WORKER', 'TASK', task)
        place.run('inspect', 'report').expect(0, 'sanjab:', 'w1@here')
        conf = ask(place, 'conf')['w1@here']
        assert conf['worker_concurrency'] == 2 and 'task_routes' in conf, conf
        assert conf['broker_transport_options'] == {'password': '***'}, conf
        assert 'hidden' not in place.run('inspect', 'conf').expect(0).out
        place.run('inspect', 'memsample').expect(1, 'NotImplementedError')
        place.run('inspect', 'ping', '-d', 'w1@here,gone@here', '-t', '0.2').expect(
            3, '1 of the 2 workers have answered')
        assert ask(place, 'ping', '--pattern', 'w?@*', '-t', '0.2') == {'w1@here': {'ok': 'pong'}}


def test_what_waits_here_for_its_turn_is_scheduled():
    with shop() as place:
        place.write('sanjab.conf', '[task_queue_rates]\ncelery = 36/m\n')
        place.worker('-A', 'tasks.c', '-n', 'w1@here', '-c', '2')
        assert ask(place, 'scheduled') == {'w1@here': []}
        for i in range(5):
            place.run('call', 'multiply', '-a', f'[{i}, 1]').expect(0)
        first = eventually(lambda: ask(place, 'scheduled')['w1@here'], 'one waits')[0]
        assert first['request']['name'] == 'multiply' and first['eta'].startswith('20'), first


def test_what_waits_in_the_broker_for_its_time_is_scheduled():
    with shop() as place:
        place.worker('-A', 'tasks.c', '-n', 'w1@here', '-c', '2')
        later = place.run('call', 'multiply', '-a', '[2, 3]', '-k', '{"x": 1}', '--countdown',
                          '3600').expect(0).out.strip()
        place.run('call', 'multiply', '-a', '[1, 1]', '-q', 'other', '--countdown',
                  '3600').expect(0)
        [one] = ask(place, 'scheduled')['w1@here']
        request = one['request']
        assert (request['id'], request['name'], request['args'], request['kwargs']) == \
            (later, 'multiply', [2, 3], {'x': 1}), one
        assert request['time_start'] is None and request['worker_pid'] is None, one
        assert not request['acknowledged'] and one['eta'].startswith('20'), one
        place.run('inspect', 'scheduled').expect(0, 'ETA', later)
        place.run('control', 'add_consumer', 'other').expect(0)
        assert len(ask(place, 'scheduled')['w1@here']) == 2


def test_a_worker_is_told():
    with shop() as place:
        worker = place.worker('-A', 'tasks.c', '-n', 'w1@here', '-c', '2')
        place.run('control', 'pool_grow', '1').expect(0, 'pool will grow')
        eventually(lambda: len(ask(place, 'stats')['w1@here']['pool']['processes']) == 3, 'a third')
        place.run('control', 'add_consumer', 'other').expect(0, 'add consumer other')
        assert place.run('call', 'multiply', '-a', '[2, 2]', '-q', 'other',
                         '--wait').expect(0).out == '4\n'
        place.run('control', 'cancel_consumer', 'other').expect(0, 'no longer consuming')
        assert [q['name'] for q in ask(place, 'active_queues')['w1@here']] == ['celery']
        place.run('control', 'rate_limit', 'multiply', '5/m').expect(0, 'new rate limit')
        assert 'multiply [rate_limit=5/m]' in ask(place, 'registered')['w1@here']
        place.run('control', 'rate_limit', 'nobody', '5/m').expect(1, 'unknown task')
        place.run('control', 'autoscale', '4').expect(1, 'Autoscale not enabled')
        place.run('control', 'shutdown').expect(0)
        assert worker.end() == 0, worker.text()


def test_a_revoke_holds_for_a_worker_that_starts_later():
    with shop() as place:
        task = place.run('call', 'nap', '-a', '[60]', '--countdown', '1').expect(0).out.strip()
        place.run('control', 'revoke', task).expect(3, 'is alive')
        place.worker('-A', 'tasks.c', '-n', 'w1@here')
        assert ask(place, 'revoked') == {'w1@here': [task]}
        place.run('result', task, '--wait', '30').expect(1, 'TaskRevokedError')


def test_a_revoke_by_a_stamp_is_kept_though_no_worker_hears_it():
    with shop() as place:
        place.run('call', 'multiply', '-a', '[1, 2]').expect(0)
        place.run('control', 'revoke_by_stamped_headers', 'customer=7').expect(3, 'is alive')
        with contextlib.closing(sqlite3.connect(place.path / 'work' / 'jobs.db')) as file:
            kept = [i for i, in file.execute('SELECT id FROM sanjab_revoked')]
        assert len(kept) == 1 and kept[0].startswith('stamp:'), kept


def test_what_runs_is_terminated():
    with shop() as place:
        place.worker('-A', 'tasks.c', '-n', 'w1@here')
        task = place.run('call', 'nap', '-a', '[60]').expect(0).out.strip()
        eventually(lambda: ask(place, 'active')['w1@here'], 'it runs')
        place.run('control', 'revoke', task, '--terminate').expect(0, f'terminate: {task}')
        place.run('result', task, '--wait', '30').expect(1, 'TaskRevokedError')


# ---- watching

def test_events_are_printed_one_a_line():
    with shop() as place:
        place.worker('-A', 'tasks.c', '-n', 'w1@here')
        watch = subprocess.Popen([SANJAB, 'events', '--json'], cwd=place.path / 'work',
                                 env=place.env, text=True, stdout=subprocess.PIPE)
        try:
            first = json.loads(watch.stdout.readline())  # it listens now
            assert first['type'] == 'worker-heartbeat' and first['hostname'] == 'w1@here', first
            place.run('control', 'enable_events').expect(0, 'task events enabled')
            task = place.run('call', 'multiply', '-a', '[6, 7]', '--wait').expect(0)
            seen = []
            while 'task-succeeded' not in seen:
                event = json.loads(watch.stdout.readline())
                seen += [event['type']] if event['type'].startswith('task-') else []
            assert seen == ['task-received', 'task-started', 'task-succeeded'], seen
            assert event['result'] == '42', event
            watch.send_signal(signal.SIGINT)
            assert watch.wait(30) == 0
        finally:
            watch.kill()
            watch.wait()
            watch.stdout.close()
        lines = place.run('events', '--count', '2').expect(0).out.splitlines()
        assert len(lines) == 2 and all(' w1@here worker-heartbeat ' in line for line in lines)


class Terminal:
    """sanjab events in a terminal of that size."""

    def __init__(self, place, rows, columns):
        self.master, slave = pty.openpty()
        self.resize(rows, columns)
        self.process = subprocess.Popen(
            [SANJAB, 'events'], cwd=place.path / 'work', env={**place.env, 'TERM': 'xterm'},
            stdin=slave, stdout=slave, stderr=slave, start_new_session=True)
        self.before = termios.tcgetattr(slave)
        self.slave = slave
        self.seen = ''

    def resize(self, rows, columns):
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack('HHHH', rows, columns, 0, 0))

    def read(self):
        while select.select([self.master], [], [], 0)[0]:
            self.seen += os.read(self.master, 65536).decode()
        return self.seen

    def picture(self):
        """The last whole one, without its codes."""
        pictures = self.read().split('\033[H')
        if len(pictures) < 3:
            return ''
        return re.sub(r'\033\[\d*[KJm]|\r', '', pictures[-2])

    def fits(self, rows, columns):
        lines = self.picture().split('\n')
        return lines != [''] and len(lines) <= rows and max(map(len, lines)) <= columns

    def close(self):
        self.process.kill()
        self.process.wait()
        os.close(self.master)
        os.close(self.slave)


def test_a_terminal_shows_a_live_table_and_is_left_as_it_was():
    needs_no_sanitizer()
    with shop() as place:
        place.worker('-A', 'tasks.c', '-n', 'w1@here')
        place.run('control', 'enable_events').expect(0)
        t = Terminal(place, 12, 90)
        try:
            eventually(lambda: '1 of 1 workers alive' in t.picture(), 'the worker is shown')
            place.run('call', 'multiply', '-a', '[6, 7]', '--wait').expect(0)
            eventually(lambda: re.search(r'multiply  SUCCESS  +0\.\d+ s  w1@here', t.picture()),
                       'the task is shown')
            assert t.fits(12, 90)
            t.resize(8, 30)
            t.process.send_signal(signal.SIGWINCH)
            eventually(lambda: t.fits(8, 30), 'it is narrow')
            os.write(t.master, b'q')
            eventually(lambda: t.process.poll() is not None, 'it ends')
            assert t.process.returncode == 0
            assert t.read().endswith('\033[?25h\033[?1049l'), t.seen[-100:]
            after = termios.tcgetattr(t.slave)
            assert after[3] & termios.ECHO and after[3] & termios.ICANON
        finally:
            t.close()


try:
    needs_sqlite()
except tap.Skip as reason:
    print(f'1..0 # SKIP {reason}')
    sys.exit(77)
tap.run(globals())
