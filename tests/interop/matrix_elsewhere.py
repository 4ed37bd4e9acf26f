# SPDX-License-Identifier: MIT
"""Interoperability: a fleet with other settings: a prefix before all keys, results in a database of
their own which name the task, msgpack and compression as a rule, and Celery's first protocol.
"""
import json

import matrix_table
from matrix_canvas import B_TSUM, FLEETS, TWO, add, chain, chord, group, t, told
from matrix_table import CASES, CLIENTS, alone, fails, succeeds

PREFIX = 'pfx:'
SETTINGS = {
    'broker_transport_options': {'global_keyprefix': PREFIX}, 'result_extended': True,
    'task_serializer': 'msgpack', 'task_compression': 'zlib',
}


def elsewhere(fn):
    """A case for each client and fleet, among those with these settings."""
    for client in CLIENTS:
        for fleet, a, b in FLEETS:
            CASES[f'{fn.__name__}_elsewhere_by_{client}_on_{fleet}'] = (
                fn, 'elsewhere-' + client, (a, b))
    return fn


@elsewhere
def task(client, names):
    said = ['h\u00e9', {'k': [1.5, None, True]}, 'x' * 3000]
    result = client.send(names[0] + 'pair', [said, 1])
    succeeds(client, result, [said, 1])


@elsewhere
def error(client, names):
    fails(client, client.send(names[0] + 'boom', ['ValueError', 'bang']), 'ValueError', 'bang')


@elsewhere
def extended_result(client, names):
    result = client.send(names[0] + 'pair', [[1, 'x']], {'b': None})
    succeeds(client, result, [[1, 'x'], None])
    meta = json.loads(matrix_table.ELSEWHERE.stored(result))
    assert meta['name'] == names[0] + 'pair', meta
    assert (meta['args'], meta['kwargs']) == ([[1, 'x']], {'b': None}), meta
    assert meta['queue'] == names[0][:-1], meta
    assert meta['worker'] in ('c@here', 'py@here') and meta['retries'] == 0, meta


@elsewhere
def canvas(client, names):
    forms = [(chain(add(1, 2), t('B.mul', 10), add(5)), 35), (TWO, [2, 4]),
             (chord(TWO, B_TSUM), 6)]
    # Of a group in the middle of a chain Celery's client writes msgpack that nobody can read.
    if client.name == 'ours':
        forms.append((chain(add(1, 1), group(add(10, on='B'), add(20)), B_TSUM, t('A.mul', 2)), 68))
    for tree, value in forms:
        succeeds(client, client.canvas(told(tree, names, '')), value)


@elsewhere
def saved_group(client, names):
    group_id, members = client.group(told(TWO, names, ''), save=True)
    for kind in CLIENTS:
        other = matrix_table.CLIENTS_BY_NAME['elsewhere-' + kind]
        assert other.restore(group_id) == (members, [2, 4])


@elsewhere
def retry(client, names):
    succeeds(client, client.send(names[0] + 'flaky', [1]), 1)


@elsewhere
def delayed(client, names):
    result = client.send(names[0] + 'add', [1, 2], countdown=0.5)
    yield
    succeeds(client, result, 3)


@alone
def keys_elsewhere_have_the_prefix(clients):
    """All but results, which have a database of their own."""
    succeeds(clients['elsewhere-ours'], clients['elsewhere-ours'].send('c.add', [1, 2]), 3)
    ask = matrix_table.ELSEWHERE.server.ask
    keys = {key.decode() for key in ask('KEYS', PREFIX + '*')}
    assert {PREFIX + '_kombu.binding.' + queue for queue in ('c', 'py', 'both')} <= keys, keys
    assert not ask('KEYS', PREFIX + 'celery-task-meta-*')
