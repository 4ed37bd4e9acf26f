# SPDX-License-Identifier: MIT
"""The list of the cases of the interoperability matrix, and what they are made of.

A case is a function of a client and of what begins the tasks' names, which says whose worker runs
them: c. ours, py. Celery's, both. either. One that is a generator has begun something that takes
time when it yields; all of these begin before the others run, and are asked for what came of it in
their turn.
"""
import inspect
import math

CASES = {}
PREFIXES = ('c.', 'py.', 'both.')
CLIENTS = ('ours', 'python')
# Set when they run.
FLEET = None
ELSEWHERE = None
CLIENTS_BY_NAME = {}


def case(clients=CLIENTS, prefixes=PREFIXES):
    """A case for each of the clients and prefixes."""
    def add(fn):
        for client in clients:
            for prefix in prefixes:
                name = f'{fn.__name__}_by_{client}_on_{prefix[:-1]}'
                CASES[name] = (fn, client, prefix)
        return fn
    return add


def alone(fn):
    """A case of its own: a function of both clients, by their names."""
    CASES[fn.__name__] = (fn, None, None)
    return fn


def table(rows, kind=None):
    """The same, as a kind of case, for each row of a name and further arguments."""
    kind = kind or case()

    def add(fn):
        for name, *row in rows:
            if inspect.isgeneratorfunction(fn):
                def one(*who, row=row):
                    yield from fn(*who, *row)
            else:
                def one(*who, row=row):
                    fn(*who, *row)
            one.__name__ = f'{fn.__name__}_{name}'
            kind(one)
        return fn
    return add


def same(a, b):
    """As ==, but NaN is itself, and 1, 1.0 and True are not the same."""
    if type(a) is not type(b):
        return False
    if isinstance(a, float):
        return (math.isnan(a) and math.isnan(b)) or (a == b and
                                                     math.copysign(1, a) == math.copysign(1, b))
    if isinstance(a, list):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[k], b[k]) for k in a)
    return a == b


def succeeds(client, result, value):
    o = client.get(result)
    assert o.state == 'SUCCESS' and same(o.value, value), (o, value)


def fails(client, result, type, message=None, state='FAILURE'):
    o = client.get(result)
    assert (o.state, o.type) == (state, type), (o, type)
    assert message is None or o.message == message, (o, message)
