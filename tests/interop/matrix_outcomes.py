# SPDX-License-Identifier: MIT
"""Interoperability: what becomes of tasks that do not simply succeed."""
import pathlib
import uuid

import matrix_table
from matrix_fleet import eventually
from matrix_table import alone, case, fails, succeeds, table


# ---- Failure

@table((('value', 'ValueError', 'bang'), ('key', 'KeyError', 'k'),
        ('unicode', 'OSError', 'h\u00e9\u2028'), ('empty', 'RuntimeError', ''),
        ('long', 'LookupError', 'x' * 5000)))
def builtin_error(client, prefix, type, message):
    o = client.get(client.send(prefix + 'boom', [type, message]))
    assert (o.state, o.type, o.message, o.module) == ('FAILURE', type, message, 'builtins'), o


@case()
def error_of_a_module_nobody_has(client, prefix):
    """Celery's client makes a class of that name."""
    fails(client, client.send(prefix + 'boom', ['shop.errors.GatewayError', 'status 502']),
          'GatewayError', 'status 502')


@table((('too_few', [1], None), ('too_many', [1, 2, 3], None), ('unknown', [1], {'c': 2}),
        ('twice', [1], {'a': 2})))
def wrong_arguments(client, prefix, args, kwargs):
    # Celery's client checks those of tasks that it knows itself.
    if client.name == 'python':
        result = client.app.send_task(prefix + 'add', args, kwargs).id
    else:
        result = client.send(prefix + 'add', args, kwargs)
    fails(client, result, 'TypeError')


@case(prefixes=['c.', 'py.'])
def unknown_task(client, prefix):
    fails(client, client.send(prefix + 'nosuch'), 'NotRegistered')


# ---- Retry

@case()
def retried_until_it_succeeds(client, prefix):
    succeeds(client, client.send(prefix + 'flaky', [2]), 2)


@case()
def retried_in_vain(client, prefix):
    fails(client, client.send(prefix + 'hopeless', [True]), 'KeyError', 'nowhere')
    fails(client, client.send(prefix + 'hopeless', [False]), 'MaxRetriesExceededError')


@case()
def retry_keeps_what_follows(client, prefix):
    after = str(uuid.uuid4())
    result = client.send(prefix + 'flaky', [1], link={
        'task': prefix + 'pair', 'args': ['after'], 'call': {'task_id': after}})
    succeeds(client, result, 1)
    succeeds(client, after, [1, 'after'])


@case()
def retry_tells_of_itself(client, prefix):
    """With what failed, until the next attempt, which is not before it is due."""
    result = client.send(prefix + 'patient')
    o = eventually(lambda: seen(client, result, 'RETRY'), 'RETRY')
    assert (o.type, o.message) == ('ValueError', 'later'), o
    client.revoke(result)


def seen(client, result, state):
    o = client.state(result)
    return o if o.state == state else None


# ---- Custom states, and revoking

class Held:
    """A task that runs until it is let go."""

    def __init__(self, client, prefix, **call):
        self.file = matrix_table.FLEET.place / str(uuid.uuid4())
        self.id = client.send(prefix + 'hold', [str(self.file)], **call)
        self.state = eventually(lambda: seen(client, self.id, 'HELD'), 'HELD')

    def let_go(self):
        self.file.touch()


@case()
def custom_state(client, prefix):
    held = Held(client, prefix)
    assert held.state.value == {'until': str(held.file)}, held.state
    held.let_go()
    succeeds(client, held.id, 'let go')


@case()
def revoked_before_it_is_due(client, prefix):
    result = client.send(prefix + 'add', [1, 2], countdown=2)
    client.revoke(result)
    yield
    fails(client, result, 'TaskRevokedError', 'revoked', state='REVOKED')


@case(prefixes=['c.', 'py.'])
def revoked_by_command_before_it_is_due(client, prefix):
    """By the tools of the other side than the client's."""
    result = client.send(prefix + 'add', [1, 2], countdown=2)
    if client.name == 'python':
        matrix_table.FLEET.command('control', 'revoke', result)
    else:
        matrix_table.CLIENTS_BY_NAME['python'].revoke(result)
    yield
    fails(client, result, 'TaskRevokedError', 'revoked', state='REVOKED')


@table((('by_sanjab', True), ('by_celery', False)))
def terminated(client, prefix, by_sanjab):
    held = Held(client, prefix)
    if by_sanjab:
        matrix_table.FLEET.command('control', 'revoke', '--terminate', held.id)
    else:
        python = matrix_table.CLIENTS_BY_NAME['python']
        python.app.control.revoke(held.id, terminate=True)
    fails(client, held.id, 'TaskRevokedError', 'terminated', state='REVOKED')


# ---- Limits

@case(prefixes=['c.', 'py.'])
def rate_limit(client, prefix):
    """4/s, of which Celery may let the first two go at once."""
    results = [client.send(prefix + 'limited') for _ in range(6)]
    yield
    times = sorted(client.get(r).value for r in results)
    assert times[-1] - times[0] >= 0.9, times


@case(prefixes=['both.'])
def rate_limit_in_each(client, prefix):
    """4/s in either worker, whichever gets how many: one of them has five."""
    results = [client.send(prefix + 'limited') for _ in range(10)]
    yield
    times = sorted(client.get(r).value for r in results)
    assert times[-1] - times[0] >= 0.6, times


@case()
def hard_time_limit(client, prefix):
    result = client.send(prefix + 'block', [60], time_limit=1)
    yield
    fails(client, result, 'TimeLimitExceeded', '1')


@case()
def soft_time_limit(client, prefix):
    result = client.send(prefix + 'nap', [60], soft_time_limit=1)
    yield
    fails(client, result, 'SoftTimeLimitExceeded')


# ---- Forgetting

@case()
def forgotten(client, prefix):
    result = client.send(prefix + 'add', [1, 2])
    succeeds(client, result, 3)
    client.forget(result)
    assert client.state(result).state == 'PENDING', client.state(result)
