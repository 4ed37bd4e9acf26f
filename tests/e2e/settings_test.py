#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Settings as they come into force: producers and workers, through one file."""
import json
import sys

from program import Place, eventually, needs_sqlite

import tap

TASKS = '''
#include <sanjab/queue.h>
SJ_TASK(multiply, int64_t, (int64_t, a), (int64_t, b)) { *ret = a * b; return 0; }
SJ_TASK(later, void) { return sj_retry(self, NULL); }
SJ_TASK(send, const char *)
{
        sj_result result;
        int r = sj_send_task(self->app, "multiply", "[2, 3]", NULL, NULL, &result);
        *ret = r < 0 ? sj_strerror(r) : "sent";
        return 0;
}
'''


def shop(settings):
    place = Place()
    place.write('tasks.c', TASKS)
    place.write('sanjab.conf', 'broker_url = sqlite:jobs.db\n' + settings)
    return place


def call(place, *args):
    return place.run('call', 'multiply', '--args', '[6, 7]', *args)


def queues(place):
    return {q['queue']: q for q in place.run('status', '--json').expect(0).json()['queues']}


def test_producers_and_workers_go_by_the_same_file():
    with shop('task_default_queue = work\ntask_queues = work, mail\nworker_pool = threads\n'
              'worker_hostname = w@%h\nworker_concurrency = 3\n'
              '[task_routes]\nm* = mail\n') as place:
        call(place).expect(0)
        place.run('call', 'other').expect(0)
        assert set(queues(place)) == {'mail', 'work'}, queues(place)
        worker = place.worker('-A', 'tasks.c')
        assert call(place, '--wait', '30').expect(0).out == '42\n'
        said = worker.text()
        assert 'threads, 3 at once' in said and 'queues  work, mail' in said, said
        assert 'node w@' in said, said
        worker.stop()


def test_what_a_broker_would_refuse_is_told_without_going_there():
    def told(settings, *texts):
        with Place() as place:
            place.env.pop('SANJAB_BROKER_URL', None)
            place.write('sanjab.conf', settings)
            place.run('conf').expect(2, *texts)
            place.run('conf', 'broker_url').expect(0)
    told('broker_url = amqp://h\n', "no broker of the kind 'amqp'")
    with Place() as place:
        if place.run('conf', '-b', 'redis://h/0').status:
            raise tap.Skip('this build has no Redis')
    told('broker_url = redis://h/0\n[broker_transport_options]\nvisibility_timout = 9\n',
         "'visibility_timout'", "'visibility_timeout'")
    told('broker_url = redis://h/0\n[broker_transport_options]\npriority_steps = x\n',
         'priority_steps')
    told('broker_url = redis://h/0\nresult_backend = redis://h/0\n'
         '[result_backend_transport_options]\nglobal_keyprefx = a\n', 'global_keyprefx')
    told('broker_url = redis://h/0\nresult_backend = db+sqlite:///x\n', 'in Redis only')
    told('broker_url = redis://h/one\n', 'malformed')
    told('broker_url = redis://h/0\nresult_backend = redis://h:0x/0\n', 'malformed')


def test_msgpack_is_refused_until_it_is_accepted():
    with shop('task_serializer = msgpack\ntask_compression = zlib\n') as place:
        worker = place.worker('-A', 'tasks.c')
        call(place, '--wait', '30').expect(1, 'application/x-msgpack')
        worker.stop()
        worker = place.worker('-A', 'tasks.c', SANJAB_ACCEPT_CONTENT='json,msgpack')
        assert call(place, '--wait', '30').expect(0).out == '42\n'
        worker.stop()


def test_what_a_task_sends_is_written_as_the_workers_settings_say():
    with shop('task_serializer = msgpack\naccept_content = msgpack\n'
              '[task_routes]\nmultiply = {"queue": "other", "priority": 4}\n') as place:
        worker = place.worker('-A', 'tasks.c')
        assert place.run('call', 'send', '--wait', '30').expect(0).out == '"sent"\n'
        worker.stop()
        assert queues(place)['other']['ready'] == 1, queues(place)
        worker = place.worker('-A', 'tasks.c', '-Q', 'other')
        eventually(lambda: 'other' not in queues(place), 'the task that was sent to have run')
        worker.stop()
        assert place.run('dead', '--json').expect(0).json() == []


def test_annotations_count_more_than_the_code():
    with shop('[task_annotations]\n*.max_retries = 5\nlater.max_retries = 0\n') as place:
        worker = place.worker('-A', 'tasks.c')
        place.run('call', 'later', '--wait', '30').expect(1, 'MaxRetriesExceededError')
        worker.stop()


def test_a_worker_may_be_deaf_to_remote_control():
    with shop('') as place:
        worker = place.worker('-A', 'tasks.c', '-n', 'hears@%h')
        deaf = place.worker('-A', 'tasks.c', '-n', 'deaf@%h',
                            SANJAB_WORKER_ENABLE_REMOTE_CONTROL='false')
        said = place.run('inspect', 'ping').out
        assert 'hears@' in said and 'deaf@' not in said, said
        worker.stop()
        deaf.stop()


def test_a_worker_with_a_mistake_in_its_settings_does_not_start():
    with shop('worker_concurrency = all\nworker_prefetch_multiplier = 8\n') as place:
        done = place.run('worker', '-A', 'tasks.c').expect(2)
        assert done.err.count('sanjab.conf:') == 2, done.err
        assert not (place.path / 'work' / 'jobs.db').exists()
        assert json.loads(place.run('conf', '--json', '--config', '').expect(0).out)


def test_a_command_in_a_file_that_others_may_write_is_refused():
    with shop('worker_on_error = /bin/true\n') as place:
        place.run('conf').expect(0)
        (place.path / 'work' / 'sanjab.conf').chmod(0o666)
        place.run('conf').expect(2, 'sanjab.conf:2: worker_on_error is run, but others may write')
        place.run('conf', SANJAB_WORKER_ON_ERROR='/bin/true').expect(0)
        place.write('sanjab.conf', 'worker_concurrency = 2\n', 0o666)
        place.run('conf').expect(0)


try:
    needs_sqlite()
except tap.Skip as reason:
    print(f'1..0 # SKIP {reason}')
    sys.exit(77)
tap.run(globals())
