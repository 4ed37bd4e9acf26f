# SPDX-License-Identifier: MIT
"""Interoperability: messages of Celery's first protocol, which a client of Celery's writes."""
import uuid

from matrix_canvas import ERRBACK, FLEETS, TWO, add, named, t, told
from matrix_table import CASES, fails, succeeds


def protocol1(fn):
    for fleet, a, b in FLEETS:
        CASES[f'{fn.__name__}_of_protocol1_on_{fleet}'] = (fn, 'protocol1-python', (a, b))
    return fn


@protocol1
def task(client, names):
    said = ['h\u00e9', {'k': [1.5, None, True]}, 10**30]
    succeeds(client, client.send(names[0] + 'pair', [said], {'b': 1}), [said, 1])


@protocol1
def error(client, names):
    fails(client, client.send(names[0] + 'boom', ['KeyError', 'bang']), 'KeyError', 'bang')


@protocol1
def retry(client, names):
    succeeds(client, client.send(names[0] + 'flaky', [2]), 2)


@protocol1
def delayed(client, names):
    result = client.send(names[0] + 'add', [1, 2], countdown=0.5)
    late = client.send(names[0] + 'add', [1, 2], countdown=1, expires=0.5)
    yield
    succeeds(client, result, 3)
    fails(client, late, 'TaskRevokedError', 'expired', state='REVOKED')


@protocol1
def time_limit(client, names):
    result = client.send(names[0] + 'block', [60], time_limit=1)
    yield
    fails(client, result, 'TimeLimitExceeded', '1')


@protocol1
def links(client, names):
    unique = str(uuid.uuid4())
    tree = add(1, 1, link=[named(t('B.mul', 10), '#then')])
    succeeds(client, client.canvas(told(tree, names, unique)), 2)
    succeeds(client, unique + '-then', 20)
    tree = {**named(t('A.boom', 'ValueError', 'bang'), '#failed'), 'link_error': [ERRBACK]}
    client.canvas(told(tree, names, unique))
    succeeds(client, unique + '-errback', unique + '-failed')


@protocol1
def members(client, names):
    succeeds(client, client.canvas(told(TWO, names, '')), [2, 4])
