#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""The sanjab command against a queue in a file: producers and workers are processes of their own."""
import re
import resource
import signal
import sqlite3
import subprocess
import sys

from program import SANJAB, Place, eventually, needs_sqlite

import tap

BROKER = 'sqlite:jobs.db'
TASKS = '''
#include <sanjab/fiber.h>
#include <sanjab/queue.h>
#include <stdlib.h>
SJ_TASK(multiply, int64_t, (int64_t, a), (int64_t, b)) { *ret = a * b; return 0; }
SJ_TASK(greet, const char *, (const char *, name)) { *ret = name; return 0; }
SJ_TASK(fail, void, (int64_t, status))
{
        return sj_raise(self, "shop.errors.GatewayError", "status %d", (int)status);
}
SJ_TASK(crash, void) { abort(); }
SJ_TASK_OPTIONS(crash, .max_deliveries = 2);
SJ_TASK(nap, int64_t, (double, seconds))
{
        *ret = 1;
        sj_time end = sj_after((sj_time)(seconds * SJ_SEC));
        while (sj_now() < end && !sj_task_cancelled(self)) {
                int r = sj_sleep(5 * SJ_MS);
                if (r == -ECANCELED)
                        return r;
                if (r < 0)
                        (void)!system("sleep 0.01");
        }
        return 0;
}
'''
ID = re.compile(r'[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\n')


def shop():
    place = Place(BROKER)
    place.write('tasks.c', TASKS)
    return place


def send(place, *args):
    out = place.run('call', *args).expect(0).out
    assert ID.fullmatch(out), out
    return out.strip()


def depths(place, queue='celery'):
    queues = {q['queue']: q for q in place.run('status', '--json').expect(0).json()['queues']}
    return queues.get(queue, {'ready': 0, 'delayed': 0, 'running': 0, 'dead': 0})


# ---- calls and results

def test_every_pool_answers_a_call():
    with shop() as place:
        for pool in ('prefork', 'threads', 'fibers', 'solo'):
            worker = place.worker('-A', 'tasks.c', '-P', pool, '-n', f'{pool}@%h')
            done = place.run('call', 'multiply', '--args', '[6, 7]', '--wait', '30')
            assert done.expect(0).out == '42\n', done.shown
            done = place.run('call', 'multiply', '--kwargs', '{"b": 3, "a": 2}', '-w')
            assert done.expect(0).out == '6\n', done.shown
            worker.stop()


def test_what_a_task_prints_comes_out_of_the_worker():
    with Place(BROKER) as place:
        place.write('tasks.c', '#include <sanjab/queue.h>\n#include <stdio.h>\n'
                    'SJ_TASK(say, void) { printf("said by a task\\n"); return 0; }')
        for pool in ('prefork', 'threads', 'fibers'):
            worker = place.worker('-A', 'tasks.c', '-P', pool, '-n', f'{pool}@%h')
            place.run('call', 'say', '--wait').expect(0)
            worker.wait_text('said by a task\n')
            worker.stop()


def test_a_worker_says_who_may_write_to_the_file_of_the_queue():
    with shop() as place:
        said = 'must open it by sj_sqlite_open\n' in place.worker('-A', 'tasks.c').text()
        assert said == (sqlite3.sqlite_version_info < (3, 51, 3)), sqlite3.sqlite_version


def test_a_call_prints_its_id_and_the_result_can_be_asked_for():
    with shop() as place:
        place.worker('-A', 'tasks.c')
        task = send(place, 'greet', '--args', '["سنجاب"]')
        assert place.run('result', task, '--wait').expect(0).out == '"سنجاب"\n'
        assert place.run('result', task).expect(0).out == '"سنجاب"\n'
        said = place.run('result', task, '--json').expect(0).json()
        assert (said['id'], said['state'], said['result'], said['error']) == \
            (task, 'SUCCESS', 'سنجاب', None), said
        assert re.match(r'\d{4}-\d\d-\d\dT', said['done']), said


def test_a_call_with_json_says_the_id_and_the_result():
    with shop() as place:
        place.worker('-A', 'tasks.c')
        said = place.run('call', 'multiply', '--args', '[2, 3]', '--wait', '--json').expect(0)
        assert said.json()['result'] == 6 and ID.fullmatch(said.json()['id'] + '\n'), said.shown


def test_a_task_that_fails_says_why_and_ends_with_1():
    with shop() as place:
        place.worker('-A', 'tasks.c')
        done = place.run('call', 'fail', '--args', '[502]', '--wait')
        assert done.expect(1, 'failed: GatewayError: status 502').out == '', done.shown
        said = place.run('call', 'fail', '--args', '[502]', '--wait', '--json').expect(1).json()
        assert (said['state'], said['error']['type'], said['error']['module']) == \
            ('FAILURE', 'GatewayError', 'shop.errors'), said


def test_arguments_of_the_wrong_count_or_type_fail_the_task():
    with shop() as place:
        place.worker('-A', 'tasks.c')
        for args in ('[1]', '[1, 2, 3]', '["a", "b"]', '[1, 2.5]'):
            place.run('call', 'multiply', '--args', args, '--wait').expect(1, 'TypeError')
        place.run('call', 'multiply', '--args', '[9223372036854775808, 1]', '--wait').expect(
            1, 'OverflowError')
        place.run('call', 'multiply', '--kwargs', '{"a": 1, "c": 2}', '--wait').expect(1, "'c'")
        assert place.run('call', 'multiply', '--args', '[1, 2]', '--wait').expect(0).out == '2\n'


def test_a_task_that_nobody_runs_has_not_ended_in_time():
    with shop() as place:
        done = place.run('call', 'multiply', '--args', '[1, 2]', '--wait', '0.1')
        task = re.search(r'sanjab result (\S+) --wait', done.expect(3, 'has not ended').err).group(1)
        assert place.run('result', task).expect(3).out == 'PENDING\n'
        place.worker('-A', 'tasks.c')
        assert place.run('result', task, '--wait').expect(0).out == '2\n'


def test_a_countdown_waits_in_the_broker():
    with shop() as place:
        place.worker('-A', 'tasks.c')
        task = send(place, 'multiply', '--args', '[2, 2]', '--countdown', '1.5')
        late = send(place, 'multiply', '--args', '[2, 2]', '--countdown', '3600')
        assert depths(place)['delayed'] >= 1
        assert place.run('result', task, '--wait').expect(0).out == '4\n'
        place.run('result', late).expect(3, 'PENDING')


def test_an_eta_is_a_moment_for_which_a_task_waits_in_the_broker():
    with shop() as p:
        p.run('call', 'multiply', '--eta', 'tomorrow').expect(2, '--eta is a moment', "'tomorrow'")
        p.run('call', 'multiply', '--eta', '2099-01-01T00:00:00', '--countdown', '1').expect(2, 'both')
        p.run('call', 'multiply', '-a', '[6, 7]', '--eta', '2099-01-01T01:00:00+01:00').expect(0)
        queue, = p.run('status', '--json').expect(0).json()['queues']
        assert (queue['ready'], queue['delayed']) == (0, 1), queue
        p.worker('-A', 'tasks.c')
        p.run('call', 'multiply', '-a', '[6, 7]', '--eta', '2001-01-01T00:00:00', '--wait', '30').expect(0, '42')


def test_a_task_that_has_expired_is_revoked():
    with shop() as place:
        task = send(place, 'multiply', '--args', '[2, 2]', '--expires', '0.001')
        place.worker('-A', 'tasks.c')
        place.run('result', task, '--wait').expect(1, 'was revoked', 'expired')


# ---- status, purge, dead letters

def test_status_shows_queues_and_workers():
    with shop() as place:
        send(place, 'multiply', '-q', 'mail')
        send(place, 'multiply', '-q', 'mail', '--countdown', '3600')
        text = place.run('status').expect(0, 'No worker is alive').out
        heads, row = text.splitlines()[:2]
        assert re.split(r' {2,}', heads) == ['QUEUE', 'READY', 'DELAYED', 'RUNNING', 'DEAD',
                                             'OLDEST'], text
        assert row.split()[:5] == ['mail', '1', '1', '0', '0'], text
        worker = place.worker('-A', 'tasks.c', '-n', 'me@box', '-c', '3')
        nodes = place.run('status', '--json').expect(0).json()['workers']
        assert [(n['name'], n['info']['pid']) for n in nodes] == \
            [('me@box', worker.process.pid)], nodes
        place.run('status').expect(0, 'me@box', 'prefork')
        worker.stop()
        place.run('status').expect(0, 'No worker is alive')


def test_purge_removes_what_waits_and_says_so_to_those_who_wait():
    with shop() as place:
        tasks = [send(place, 'multiply', '-q', queue) for queue in ('a', 'a', 'b')]
        place.run('purge').expect(2, '--yes')
        assert place.run('purge', '-Q', 'a', '--yes').expect(0).out == 'removed 2 tasks\n'
        place.run('result', tasks[0]).expect(1, 'was revoked')
        place.run('result', tasks[2]).expect(3)
        assert place.run('purge', '--yes', '--json').expect(0).json() == {'removed': 1, 'awaited': 0}


def test_purge_leaves_excluded_queues_alone():
    with shop() as p:
        for queue in 'a', 'b', 'c':
            p.run('call', 'multiply', '-q', queue).expect(0)
        p.run('purge', '--yes', '-X', 'a b').expect(2, '--exclude-queues is a list of names')
        p.run('purge', '--yes', '-X', 'a,nosuch').expect(0, 'removed 2 tasks')
        p.run('purge', '--yes', '-Q', 'a,b', '-X', 'a').expect(0, 'removed 0 tasks')
        p.run('purge', '--yes').expect(0, 'removed 1 task')


def test_an_unknown_task_fails_and_is_kept_as_a_dead_letter():
    with shop() as place:
        place.worker('-A', 'tasks.c')
        done = place.run('call', 'nobody.knows', '--args', '[1]', '--wait', '30', '--json')
        said = done.expect(1).json()
        assert said['error']['type'] == 'NotRegistered', said
        text = place.run('dead').expect(0, said['id'], 'nobody.knows', 'celery').out
        assert text.splitlines()[0].startswith('ID '), text
        letters = place.run('dead', 'list', '--json').expect(0).json()
        assert [(one['id'], one['task']) for one in letters] == [(said['id'], 'nobody.knows')]
        assert place.run('dead', '-q', 'other', '--json').expect(0).json() == []


def test_messages_that_cannot_be_read_are_dead_letters_and_the_worker_goes_on():
    with shop() as place:
        good, *bad = [send(place, 'greet', '--args', '["you"]') for _ in range(5)]
        database = sqlite3.connect(place.path / 'work' / 'jobs.db')
        read = 'SELECT envelope FROM sanjab_task WHERE id = ?'
        envelope, = database.execute(read, (good,)).fetchone()
        reasons = {'is not JSON': b'squirrel', 'ends too early': envelope[:len(envelope) // 2],
                   'nested deeper than 256': b'[' * 10000 + b']' * 10000,
                   'more than 33554432': b'"' + b'a' * (33 << 20) + b'"'}
        for task, text in zip(bad, reasons.values()):
            changed = database.execute('UPDATE sanjab_task SET envelope = ? WHERE id = ?',
                                       (text, task))
            assert changed.rowcount == 1
        database.commit()
        database.close()
        worker = place.worker('-A', 'tasks.c')
        for task, reason in zip(bad, reasons):
            place.run('result', task, '--wait', '30').expect(1, 'InvalidTaskError', reason)
        letters = place.run('dead', '--json').expect(0).json()
        assert {one['id'] for one in letters} == set(bad), letters
        assert place.run('result', good, '--wait', '30').expect(0).out == '"you"\n'
        worker.stop()


def test_dead_letters_are_retried_and_dropped():
    with shop() as place:
        worker = place.worker('-A', 'tasks.c', '-n', 'a@box')
        tasks = [place.run('call', 'added', '--wait', '30', '--json').expect(1).json()['id']
                 for _ in range(3)]
        worker.stop()
        place.run('dead', 'drop', tasks[0]).expect(0, 'dropped 1 dead letter\n')
        place.run('dead', 'drop', tasks[0], tasks[1]).expect(5, 'dropped 1', '1 of the 2')
        place.run('result', tasks[0]).expect(1, 'NotRegistered')
        place.run('dead', 'retry', '--all').expect(0, 'retried 1 dead letter\n')
        place.run('result', tasks[2]).expect(3, 'PENDING')
        place.write('more.c', '#include <sanjab/queue.h>\nSJ_TASK(added, void) { return 0; }\n')
        place.worker('-A', 'more.c', '-n', 'b@box')
        assert place.run('result', tasks[2], '--wait').expect(0).out == 'null\n'
        assert place.run('dead', '--json').expect(0).json() == []


def test_a_task_that_crashes_its_process_is_tried_again_and_then_dead():
    with shop() as place:
        worker = place.worker('-A', 'tasks.c', '-c', '2')
        done = place.run('call', 'crash', '--wait', '50')
        done.expect(1, 'failed:')
        letters = place.run('dead', '--json').expect(0).json()
        assert [one['task'] for one in letters] == ['crash'], letters
        assert place.run('call', 'multiply', '--args', '[2, 2]', '--wait').expect(0).out == '4\n'
        worker.stop()


def test_workers_that_share_a_queue_give_each_other_what_they_do_not_know():
    with shop() as place:
        place.write('more.c', '#include <sanjab/queue.h>\nSJ_TASK(other, void) { return 0; }\n')
        place.worker('-A', 'tasks.c', '-n', 'a@box', '--shared')
        place.worker('-A', 'more.c', '-n', 'b@box', '--shared')
        for _ in range(3):
            place.run('call', 'multiply', '--args', '[1, 1]', '--wait', '50').expect(0)
            place.run('call', 'other', '--wait', '50').expect(0)


def test_what_is_said_never_goes_into_a_descriptor_of_ours():
    with shop() as place:
        for closed in ('<&-', '>&-', '2>&-', '<&- >&- 2>&-'):
            subprocess.run(['sh', '-c', f'exec "$0" call multiply {closed}', SANJAB],
                           env=place.env, cwd=place.path / 'work', stdin=subprocess.DEVNULL,
                           stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
        assert depths(place)['ready'] == 4


# ---- workers that end

def running(place):
    return lambda: depths(place)['running'] == 1


def test_a_warm_stop_waits_for_what_runs():
    for number in (signal.SIGTERM, signal.SIGINT):
        with shop() as place:
            worker = place.worker('-A', 'tasks.c', '-P', 'fibers')
            task = send(place, 'nap', '--args', '[1.0]')
            eventually(running(place), 'the task runs')
            worker.stop(number)
            place.run('result', task).expect(0)


def test_a_cold_stop_gives_back_what_runs():
    with shop() as place:
        worker = place.worker('-A', 'tasks.c')
        task = send(place, 'nap', '--args', '[600.0]')
        eventually(running(place), 'the task runs')
        worker.stop(signal.SIGQUIT)
        assert (depths(place)['ready'], depths(place)['running']) == (1, 0)
        place.run('result', task).expect(3)


def test_a_second_interrupt_hurries_the_first():
    with shop() as place:
        worker = place.worker('-A', 'tasks.c')
        send(place, 'nap', '--args', '[600.0]')
        eventually(running(place), 'the task runs')
        worker.send(signal.SIGINT)
        worker.wait_text('SIGINT')
        worker.stop(signal.SIGINT)
        assert depths(place)['ready'] == 1


def test_a_second_worker_with_one_name_is_refused():
    with shop() as place:
        place.worker('-A', 'tasks.c', '-n', 'me@box')
        place.run('worker', '-A', 'tasks.c', '-n', 'me@box').expect(4, 'me@box')
        place.worker('-A', 'tasks.c', '-n', 'you@box')


# ---- files that are no brokers

def test_a_file_that_is_not_a_queue_is_refused_and_left_alone():
    with shop() as place:
        place.write('jobs.db', 'not a database, but a text that is longer than its header\n' * 99)
        before = (place.path / 'work' / 'jobs.db').read_bytes()
        for args in (['call', 'multiply'], ['status'], ['worker', '-A', 'tasks.c']):
            place.run(*args).expect(4, 'cannot open sqlite:jobs.db')
        assert (place.path / 'work' / 'jobs.db').read_bytes() == before


def test_a_database_of_somebody_else_is_refused_and_left_alone():
    with shop() as place:
        path = place.path / 'work' / 'jobs.db'
        with sqlite3.connect(path) as other:
            other.execute('PRAGMA user_version = 999')
            other.execute('CREATE TABLE accounts (name TEXT)')
        other.close()
        before = path.read_bytes()
        place.run('call', 'multiply').expect(4, 'cannot open sqlite:jobs.db')
        assert path.read_bytes() == before


def test_a_broker_that_is_not_there_is_not_made_by_asking():
    with shop() as place:
        for args in (['status'], ['result', 'x'], ['dead'], ['purge', '--yes']):
            place.run(*args).expect(4, 'cannot open sqlite:jobs.db')
        assert not (place.path / 'work' / 'jobs.db').exists()
        place.run('call', 'x', '-b', 'sqlite:nowhere/jobs.db').expect(4, 'cannot open')


def test_a_new_broker_is_for_its_owner_alone():
    with shop() as place:
        send(place, 'multiply')
        for path in (place.path / 'work').glob('jobs.db*'):
            assert path.stat().st_mode & 0o077 == 0, path


def test_a_broker_that_cannot_be_written_is_said():
    with shop() as place:
        send(place, 'multiply')
        work = place.path / 'work'
        before = (work / 'jobs.db').read_bytes()
        user = place.give_away()  # root may write everything
        work.chmod(0o555)
        for path in work.glob('jobs.db*'):
            path.chmod(0o444)
        place.run('call', 'multiply', user=user).expect(4, 'sqlite:jobs.db')
        assert (work / 'jobs.db').read_bytes() == before
        work.chmod(0o755)


def test_a_full_disk_is_said_and_nothing_is_half_sent():
    with shop() as place:
        first = send(place, 'multiply')
        limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, limits[1]))
        try:
            done = place.run('call', 'multiply', '--args', f'["{"x" * 100000}"]')
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
            signal.signal(signal.SIGXFSZ, handler)
        assert done.status == 4 and done.err.startswith('sanjab: cannot'), done.shown
        assert depths(place)['ready'] == 1
        place.run('result', first).expect(3, 'PENDING')


try:
    needs_sqlite()
except tap.Skip as reason:
    print(f'1..0 # SKIP {reason}')
    sys.exit(77)
tap.run(globals())
