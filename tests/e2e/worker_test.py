#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""sanjab worker as it is run for real: its options, its log, its pid file, the service manager."""
import datetime
import http.server
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

from program import ROOT, Place, eventually, needs_sqlite

import redis_server
import tap

TASKS = '''
#include <sanjab/fiber.h>
#include <sanjab/queue.h>
#include <unistd.h>

SJ_TASK(who, int64_t) { (void)self; *ret = getpid(); return 0; }
SJ_TASK(nap, void, (double, seconds)) { (void)self; return sj_sleep((sj_time)(seconds * 1e9)); }
SJ_TASK(hang, void) { while (self) usleep(1000); return 0; }
SJ_TASK(block, void)
{
        int fds[2];
        char byte;
        if (pipe(fds) < 0)
                return -5;
        while (!sj_task_cancelled(self))
                (void)!read(fds[0], &byte, 1);
        return sj_raise(self, "celery.exceptions.SoftTimeLimitExceeded", "told");
}
SJ_TASK(again, void) { return sj_retry(self, NULL); }
SJ_TASK(fail, void, (const char *, why)) { return sj_raise(self, "ValueError", "%s", why); }
'''


def place():
    p = Place('sqlite:jobs.db')
    p.write('tasks.c', TASKS)
    return p


# ---- the start

def test_a_worker_waits_for_its_broker_and_says_why():
    port = redis_server.free_port()
    with Place(f'redis://127.0.0.1:{port}/0') as p, tempfile.TemporaryDirectory() as folder:
        p.write('tasks.c', TASKS)
        if not os.access(redis_server.PROGRAM, os.X_OK):
            raise tap.Skip('there is no redis-server')
        worker = p.worker('-A', 'tasks.c', ready=False)
        worker.wait_text('trying again', 2)
        said = f'cannot open redis://127.0.0.1:{port}/0: 127.0.0.1:{port}: connection refused'
        assert said.lower() in worker.text().lower(), worker.text()
        server = subprocess.Popen([redis_server.PROGRAM, '--port', str(port), '--save', '',
                                   '--bind', '127.0.0.1', '--dir', folder],
                                  stdout=subprocess.DEVNULL, preexec_fn=redis_server.die_with_parent)
        try:
            worker.wait_ready()
            p.run('call', 'who', '--wait', '30').expect(0)
            worker.stop()
        finally:
            server.kill()
            server.wait()


def nowhere():
    p = Place(f'redis://127.0.0.1:{redis_server.free_port()}/0')
    p.write('tasks.c', TASKS)
    return p


def ended(worker, status, *said):
    assert worker.process.wait(20) == status, (worker.process.returncode, worker.text())
    for text in said:
        assert text in worker.text(), worker.text()


def test_a_worker_that_waits_for_its_broker_stops_cleanly():
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT):
        with nowhere() as p:
            worker = p.worker('-A', 'tasks.c', ready=False)
            worker.wait_text('trying again', 1)
            worker.send(signal.SIGUSR1)
            worker.wait_text('await_stop', 1)
            worker.send(number)
            ended(worker, 0, f'{number.name}: stopped before redis://')


def test_a_worker_may_be_told_not_to_wait_for_its_broker():
    for env in ({'SANJAB_BROKER_CONNECTION_RETRY_ON_STARTUP': 'false'},
                {'SANJAB_BROKER_CONNECTION_RETRY': 'false'}):
        with nowhere() as p:
            worker = p.worker('-A', 'tasks.c', ready=False, SANJAB_BROKER_CONNECTION_TIMEOUT='0.3',
                              **env)
            ended(worker, 4, 'cannot open redis://')
            assert 'trying again' not in worker.text(), worker.text()


def test_a_worker_tries_to_reach_its_broker_as_often_as_it_may():
    with nowhere() as p:
        worker = p.worker('-A', 'tasks.c', ready=False, SANJAB_BROKER_CONNECTION_MAX_RETRIES='1')
        ended(worker, 4, 'cannot open redis://')
        assert worker.text().count('trying again') == 1, worker.text()


def test_a_worker_gives_its_broker_up_when_it_is_told_so():
    for env, said in (({'SANJAB_BROKER_CONNECTION_RETRY': 'false'}, 'is not to be reconnected to'),
                      ({'SANJAB_BROKER_CONNECTION_MAX_RETRIES': '3'}, 'in 3 attempts')):
        with redis_server.RedisServer() as server, Place(server.url) as p:
            p.write('tasks.c', TASKS)
            worker = p.worker('-A', 'tasks.c', **env)
            p.run('call', 'who', '--wait', '30').expect(0)
            server.kill()
            ended(worker, 4, 'the broker was lost', said)


def test_a_command_says_soon_that_nobody_answers():
    with Place(f'redis://127.0.0.1:{redis_server.free_port()}/0') as p:
        done = p.run('status', SANJAB_BROKER_CONNECTION_TIMEOUT='0.2')
        done.expect(4, 'cannot open redis://')
        assert 'refused' in done.err.lower(), done.shown
        p.run('call', 'x').expect(4, 'cannot open redis://')


def test_the_log_tells_of_each_task_how_it_ended():
    with place() as p:
        worker = p.worker('-A', 'tasks.c')
        p.run('call', 'who', '--wait', '30').expect(0)
        p.run('call', 'fail', '--args', '["no such bob"]', '--wait', '30').expect(1)
        worker.stop()
        said = worker.text()
        assert re.search(r'INFO +task who\[([0-9a-f-]{36})\] received\n(.*\n)*.*task who\[\1\] succ', said)
        assert re.search(r'task who\[[0-9a-f-]{36}\] succeeded in \d+\.\d{3}s: \d+\n', said), said
        assert re.search(r'ERROR +task fail\[\S+\] failed after \d\S+s: ValueError: no such bob\n', said), said


def test_the_log_says_why_a_task_was_killed_revoked_or_retried():
    with place() as p:
        worker = p.worker('-A', 'tasks.c', '--time-limit', '1', '-n', 'w@here')
        p.run('call', 'hang', '--wait', '30').expect(1)
        p.run('call', 'who', '--expires', '0.001', '--countdown', '0.1', '--wait', '30').expect(1)
        p.run('call', 'again').expect(0)
        p.run('control', 'revoke', 'x1', 'x2').expect(0)
        eventually(lambda: 'task again' in worker.text(), 'it is tried again')
        worker.stop()
        said = worker.text()
        assert re.search(r'ERROR +task hang\[\S+\] failed after 1\.\d+s: TimeLimitExceeded', said), said
        assert re.search(r'INFO +task who\[\S+\] revoked: expired\n', said), said
        assert re.search(r'INFO +task again\[\S+\] retried after 0\.\d+s: Retry in 180s\n', said), said
        assert re.search(r'INFO +told to revoke x1, x2\n', said), said


def test_the_log_says_what_a_worker_was_told():
    with place() as p:
        worker = p.worker('-A', 'tasks.c', '-c', '2', '-n', 'w@here')
        for words in ('pool_grow', 'add_consumer more', 'cancel_consumer more',
                      'cancel_consumer none', 'time_limit nap 5 6', 'enable_events',
                      'enable_events', 'disable_events'):
            p.run('control', *words.split()).expect(0)
        worker.stop()
        said = [line.split(' INFO ')[1].strip() for line in worker.text().splitlines()
                if ' INFO ' in line and re.search('told to|takes from|limits of|events of', line)]
        assert said == [
            'told to run 3 at once', 'takes from queue more, too', 'takes from queue more no more',
            'the time limits of nap are 5 s (soft) and 6 s (hard) now; 0 is none',
            'events of tasks are sent from now on', 'events of tasks are sent no more'], said


ASKS = '''
#include <sanjab/canvas.h>
#include <sanjab/queue.h>
#include <string.h>

SJ_TASK(twice, int64_t, (int64_t, n)) { (void)self; *ret = 2 * n; return 0; }

static int ask(sj_task_request *self, const sj_result *result, const char *state, int64_t *ret)
{
        sj_outcome outcome;
        int r = sj_result_get(result, self->arena, &outcome, sj_after(20 * SJ_SEC));
        if (r < 0)
                return sj_raise(self, "OSError", "get: %s", sj_strerror(r));
        if (strcmp(outcome.state_name, state) != 0)
                return sj_raise(self, "ValueError", "%s is %s", result->id, outcome.state_name);
        return ret ? sj_json_int(outcome.value, ret) : 0;
}

/* Known to the body at once, with its id, and then waited for. */
SJ_TASK(ask_one, int64_t, (int64_t, n))
{
        sj_result result;
        sj_outcome outcome;
        int r = twice_delay(self->app, n, &result);
        if (r >= 0)
                r = sj_result_state(&result, self->arena, &outcome, sj_after(20 * SJ_SEC));
        if (r < 0)
                return sj_raise(self, "OSError", "state: %s", sj_strerror(r));
        return ask(self, &result, "SUCCESS", ret);
}

/* The last of a chain, which cannot have been sent yet. */
SJ_TASK(ask_chain, int64_t, (int64_t, n))
{
        sj_signature *parts[] = {twice_s(n), twice_p(), twice_p()};
        sj_signature *chain = sj_chain(parts, 3);
        sj_result result;
        sj_outcome outcome;
        int r = sj_signature_send(self->app, chain, &result);
        sj_signature_free(chain);
        if (r >= 0)
                r = sj_result_state(&result, self->arena, &outcome, sj_after(20 * SJ_SEC));
        if (r < 0)
                return sj_raise(self, "OSError", "state: %s", sj_strerror(r));
        return ask(self, &result, "SUCCESS", ret);
}

SJ_TASK(take_back, void)
{
        sj_result result;
        int r = twice_apply_async(self->app, &(sj_call){.countdown = 60}, &result, 1);
        if (r >= 0)
                r = sj_result_revoke(&result, sj_after(20 * SJ_SEC));
        if (r < 0)
                return sj_raise(self, "OSError", "revoke: %s", sj_strerror(r));
        return 0;
}
'''


def test_tasks_read_results_and_revoke():
    with redis_server.RedisServer() as server:
        for broker in ('sqlite:jobs.db', server.url):
            for pool in ('prefork', 'fibers', 'threads'):
                with Place(broker) as p:
                    p.write('tasks.c', ASKS)
                    worker = p.worker('-A', 'tasks.c', '-P', pool, '-c', '3')
                    for name, value in (('ask_one', '14'), ('ask_chain', '56'), ('take_back', 'null')):
                        args = '[]' if name == 'take_back' else '[7]'
                        done = p.run('call', name, '--args', args, '--wait', '40')
                        done.expect(0)
                        assert done.out.strip() == value, (broker, pool, done.shown)
                    worker.stop()


def test_what_to_do_about_unknown_tasks_is_said_once():
    with place() as p:
        worker = p.worker('-A', 'tasks.c')
        for name in ('shop.a', 'shop.b'):
            p.run('call', name, '--wait', '30').expect(1, 'NotRegistered')
        worker.stop()
        said = worker.text()
        assert said.count('queue celery has tasks that this worker does not know') == 1, said
        assert 'task_routes' in said and '--shared' in said, said


# ---- options

def test_tasks_without_a_limit_have_the_workers():
    with place() as p:
        worker = p.worker('-A', 'tasks.c', '--time-limit', '0.2')
        p.run('call', 'hang', '--wait', '30').expect(1, 'TimeLimitExceeded')
        worker.stop()
        worker = p.worker('-A', 'tasks.c', '--soft-time-limit', '0.2')
        p.run('call', 'block', '--wait', '30').expect(1, 'SoftTimeLimitExceeded')
        worker.stop()


def test_children_are_replaced_after_their_tasks():
    with place() as p:
        worker = p.worker('-A', 'tasks.c', '-c', '1', '--max-tasks-per-child', '2')
        pids = [p.run('call', 'who', '--wait', '30').out.strip() for _ in range(6)]
        assert len(set(pids)) == 3 and pids[0] == pids[1], pids
        worker.stop()


def test_excluded_queues_are_left_alone():
    with place() as p:
        worker = p.worker('-A', 'tasks.c', '-Q', 'a,b,c', '-X', 'b,z')
        assert 'queues  a, c\n' in worker.text(), worker.text()
        worker.stop()
        p.run('worker', '-A', 'tasks.c', '-Q', 'a', '-X', 'a').expect(2, 'leaves no queue')


def test_autoscale_is_two_numbers():
    with place() as p:
        worker = p.worker('-A', 'tasks.c', '--autoscale', '3,1')
        assert 'prefork, 1 to 3 at once' in worker.text(), worker.text()
        for _ in range(6):
            p.run('call', 'nap', '-a', '[1]').expect(0)
        worker.wait_text('autoscale: 3 at once')
        worker.stop()
        for wrong in ('1,2', '0', '3,1,1', 'x', '3,', '5000', '-1', ''):
            p.run('worker', '-A', 'tasks.c', f'--autoscale={wrong}').expect(2, '--autoscale')
        p.run('worker', '-A', 'tasks.c', '--autoscale=3', '-P', 'solo').expect(2, 'solo')


def test_what_waits_is_purged_before_the_start():
    with place() as p:
        task = p.run('call', 'who').out.strip()
        worker = p.worker('-A', 'tasks.c', '--purge')
        worker.wait_text('1 messages were removed from celery')
        p.run('result', task).expect(1, 'purged')
        worker.stop()


# ---- the log

def test_json_lines_have_the_task_and_the_node():
    with place() as p:
        worker = p.worker('-A', 'tasks.c', '-n', 'me@here', '--log-format', 'json')
        task = p.run('call', 'fail', '-a', '["said \\"so\\"\\n"]').out.strip()
        odd = p.run('call', 'na[x] done').out.strip()
        worker.wait_text(task)
        worker.wait_text(odd)
        worker.stop()
        lines = [json.loads(line) for line in worker.text().splitlines()]
        for line in lines:
            assert line['node'] == 'me@here' and line['message'], line
            assert re.fullmatch(r'[-0-9]{10}T[:0-9]{8}(\.\d{6})?Z', line['time']), line
            when = datetime.datetime.fromisoformat(line['time'][:-1])
            assert abs((datetime.datetime.utcnow() - when).total_seconds()) < 120, line
        mine = [line for line in lines if line.get('id') == task]
        assert mine and mine[-1]['task'] == 'fail' and mine[-1]['level'] == 'error', lines
        assert [line['task'] for line in lines if line.get('id') == odd] == ['na[x] done'], lines


# ---- the pid file

def test_a_pid_file_is_there_while_it_runs_and_refuses_a_second():
    with place() as p:
        path = p.path / 'run.pid'
        worker = p.worker('-A', 'tasks.c', '--pidfile', path)
        assert int(path.read_text()) == worker.process.pid
        second = p.run('worker', '-A', 'tasks.c', '-n', 'second', '--pidfile', path)
        second.expect(4, f'process {worker.process.pid} runs with the pid file')
        assert int(path.read_text()) == worker.process.pid
        worker.stop()
        assert not path.exists()


def test_a_pid_file_that_was_left_behind_is_taken_over():
    with place() as p:
        path = p.path / 'run.pid'
        worker = p.worker('-A', 'tasks.c', '--pidfile', path)
        worker.kill()
        assert path.exists()
        path.write_text(f'{os.getpid()}\n')  # the number of somebody who lives
        worker = p.worker('-A', 'tasks.c', '-n', 'second', '--pidfile', path)
        assert int(path.read_text()) == worker.process.pid
        worker.stop()
        p.run('worker', '-A', 'tasks.c', '--pidfile', p.path / 'no' / 'where').expect(
            4, 'cannot be written')


# ---- the error hook

class Webhook:
    """Answers each POST with the next of the statuses, the last one from then on."""

    def __init__(self, *statuses):
        hook = self
        self.told, self.statuses = [], list(statuses)

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers['Content-Length']))
                hook.told.append((self.headers['Content-Type'], json.loads(body)))
                status = hook.statuses[0]
                if len(hook.statuses) > 1:
                    hook.statuses.pop(0)
                self.send_response(status)
                self.send_header('Content-Length', '0')
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f'http://127.0.0.1:{self.server.server_address[1]}/secret-path'

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()


def test_a_webhook_hears_of_each_failure_and_again_when_it_was_not_well():
    with place() as p, Webhook(503, 200) as hook:
        worker = p.worker('-A', 'tasks.c', '-n', 'me@here', '--on-error', hook.url)
        task = p.run('call', 'fail', '-a', '["it\'s so"]').out.strip()
        eventually(lambda: len(hook.told) == 2, 'a second try')
        kind, facts = hook.told[1]
        assert kind == 'application/json' and hook.told[0][1] == facts
        when = datetime.datetime.fromisoformat(facts.pop('time'))
        assert abs(datetime.datetime.now(datetime.timezone.utc) - when).total_seconds() < 120
        assert facts == {
            'id': task, 'task': 'fail', 'queue': 'celery', 'node': 'me@here', 'kwargs': '{}',
            'args': '("it\'s so",)', 'type': 'ValueError', 'error': 'ValueError("it\'s so")',
            'traceback': facts['traceback'], 'reason': None, 'retries': 0, 'deliveries': 1,
            'dead': False}, facts
        p.run('call', 'nobody').expect(0)
        eventually(lambda: len(hook.told) == 3, 'what is dead')
        assert hook.told[2][1]['dead'] and 'NotRegistered' in hook.told[2][1]['error'], hook.told
        p.run('call', 'who', '--wait', '30').expect(0)
        worker.stop()
        assert len(hook.told) == 3 and 'secret-path' not in worker.text(), worker.text()


def test_a_command_gets_the_facts_and_no_shell_sees_them():
    with place() as p:
        script = p.write('hook.sh', '#!/bin/sh\nprintf "%s|%s|%s\\n" "$1" "$SANJAB_TASK_ID" '
                                    '"$SANJAB_ERROR" > told\ncat >> told\n', 0o755)
        worker = p.worker('-A', 'tasks.c', '--on-error', f'"{script}" "a b;$(touch no)"')
        why = '$(touch no); `touch no`'
        task = p.run('call', 'fail', '-a', json.dumps([why])).out.strip()
        told = p.path / 'work' / 'told'
        eventually(lambda: told.exists() and told.read_text().endswith('}'), 'the command')
        worker.stop()
        first, rest = told.read_text().split('\n', 1)
        assert first == f"a b;$(touch no)|{task}|ValueError('{why}')", first
        assert json.loads(rest)['id'] == task
        assert not (p.path / 'work' / 'no').exists()


def test_a_hook_that_fails_or_hangs_harms_nobody():
    with place() as p, Webhook(404) as hook:
        gone = p.write('gone.sh', '#!/bin/sh\n', mode=0o755)
        for target, why in ((hook.url, 'it answers 404'), ('sh -c "exit 3"', 'status 3'),
                            (f'{gone} x', 'cannot be started')):
            worker = p.worker('-A', 'tasks.c', '--on-error', target)
            if target.startswith(str(gone)):
                gone.unlink()
            for _ in range(20):
                p.run('call', 'fail', '-a', '["x"]').expect(0)
            p.run('call', 'who', '--wait', '30').expect(0)
            worker.stop()
            text = worker.text()
            assert why in text and 'failures were not told' in text, text
            assert text.count('were not told') <= 4, text
            said = sum(int(n) for n in re.findall(r'(\d+) failures were not told', text))
            assert said == 20, text
        worker = p.worker('-A', 'tasks.c', '--on-error', 'sleep 1000')
        p.run('call', 'fail', '-a', '["x"]', '--wait', '30').expect(1)
        p.run('call', 'who', '--wait', '30').expect(0)
        worker.stop()
        assert '1 failures were not told' in worker.text(), worker.text()


def test_a_hook_that_cannot_be_is_refused_at_the_start():
    with place() as p:
        p.write('plain.txt', 'no program')
        for target, why in (("'x", 'a quote that does not end'), ('nosuch-program x', 'nosuch-program'),
                            ('/nosuch/x', '/nosuch/x'), ('./plain.txt', './plain.txt'),
                            ('ftp://u:pw@h/x', 'not ftp://...')):
            done = p.run('worker', '-A', 'tasks.c', '--on-error', target).expect(2, '--on-error', why)
            assert 'pw' not in done.err, done.shown


# ---- the service manager

class Manager:
    """What systemd is to a service: a socket that is told things."""

    def __init__(self, name):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(name)
        self.socket.settimeout(30)
        self.heard = []

    def wait(self, line):
        while line not in '\n'.join(self.heard).split('\n'):
            self.heard.append(self.socket.recv(4096).decode())
        return self


def notified(address, name):
    with place() as p:
        manager = Manager(address(p))
        worker = p.worker('-A', 'tasks.c', NOTIFY_SOCKET=name(p), WATCHDOG_USEC='200000')
        manager.wait('READY=1')
        manager.heard.clear()
        for _ in range(3):
            manager.wait('WATCHDOG=1').heard.clear()
        p.run('call', 'who', '--wait', '30').expect(0)
        manager.wait('STATUS=0 held, 1 succeeded, 0 failed')
        worker.send(signal.SIGTERM)
        manager.wait('STOPPING=1')
        assert worker.end() == 0


def test_the_service_manager_is_told_and_its_watchdog_kept_quiet():
    notified(lambda p: str(p.path / 'notify'), lambda p: str(p.path / 'notify'))
    name = f'sanjab-test-{os.getpid()}'
    notified(lambda p: '\0' + name, lambda p: '@' + name)


def test_a_loop_that_hangs_keeps_no_watchdog_quiet():
    with place() as p:
        manager = Manager(str(p.path / 'notify'))
        worker = p.worker('-A', 'tasks.c', '-P', 'solo', NOTIFY_SOCKET=str(p.path / 'notify'),
                          WATCHDOG_USEC='200000')
        manager.wait('WATCHDOG=1')
        p.run('call', 'hang').expect(0)  # in the only process: nothing turns any more
        manager.socket.settimeout(1.5)
        try:
            end = time.monotonic() + 30
            while time.monotonic() < end:
                manager.socket.recv(4096)
            raise AssertionError('it still says that it lives')
        except TimeoutError:
            pass
        worker.kill()


def test_another_processs_watchdog_is_not_ours():
    with place() as p:
        manager = Manager(str(p.path / 'notify'))
        worker = p.worker('-A', 'tasks.c', NOTIFY_SOCKET=str(p.path / 'notify'),
                          WATCHDOG_USEC='200000', WATCHDOG_PID='1')
        manager.wait('READY=1').wait('STATUS=0 held, 0 succeeded, 0 failed')
        assert 'WATCHDOG=1' not in manager.heard, manager.heard
        worker.stop()
        worker = p.worker('-A', 'tasks.c', NOTIFY_SOCKET='nonsense')
        worker.wait_text('cannot be told anything')
        worker.stop()


def test_the_example_of_a_unit_exposes_little():
    if not shutil.which('systemd-analyze'):
        raise tap.Skip('systemd-analyze is not there')
    unit = ROOT / 'docs' / 'sanjab-worker.service'
    done = subprocess.run(['systemd-analyze', 'security', '--offline=true', '--threshold=20', unit],
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if 'unrecognized option' in done.stdout:
        raise tap.Skip('systemd-analyze is too old')
    assert done.returncode == 0, done.stdout[-400:]


try:
    needs_sqlite()
except tap.Skip as reason:
    print(f'1..0 # SKIP {reason}')
    sys.exit(77)
tap.run(globals())
