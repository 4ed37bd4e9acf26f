# SPDX-License-Identifier: MIT
"""Interoperability: canvases.

Each is a tree in which "A." and "B." begin the tasks' names. They stand for the same worker's, for
those of two, and for the tasks that both have; so every form is run by each client in a fleet of
either kind and in mixed ones.
"""
import json
import uuid

from matrix_table import CASES, CLIENTS, CLIENTS_BY_NAME, fails, succeeds, table

FLEETS = (('c', 'c.', 'c.'), ('py', 'py.', 'py.'), ('c_py', 'c.', 'py.'), ('py_c', 'py.', 'c.'),
          ('both', 'both.', 'both.'))


def t(name, *args, **more):
    return {'task': name, 'args': list(args), **more}


def chain(*parts, **more):
    return {'chain': list(parts), **more}


def group(*parts, **more):
    return {'group': list(parts), **more}


def chord(header, body, **more):
    return {'chord': [header, body], **more}


def add(a, b=None, on='A', **more):
    return t(f'{on}.add', *([a] if b is None else [a, b]), **more)


def named(tree, name):
    """A task whose id will be known: name, made unique."""
    return {**tree, 'call': {**tree.get('call', {}), 'task_id': name}}


def in_fleets(fn, fleets=FLEETS, clients=CLIENTS):
    """A case for each client and fleet."""
    for client in clients:
        for fleet, a, b in fleets:
            CASES[f'{fn.__name__}_by_{client}_on_{fleet}'] = (fn, client, (a, b))
    return fn


def in_some_fleets(*names):
    return lambda fn: in_fleets(fn, [fleet for fleet in FLEETS if fleet[0] in names])


def told(tree, names, unique):
    """The tree with the names of a fleet's tasks and queues, and ids that are used once."""
    text = json.dumps(tree).replace('"A.', f'"{names[0]}').replace('"B.', f'"{names[1]}')
    text = text.replace('"@A"', json.dumps(names[0].rstrip('.')))
    return json.loads(text.replace('"#', f'"{unique}-'))


A_TSUM, B_TSUM = t('A.tsum'), t('B.tsum')
TWO = group(add(1, 1), add(2, 2, on='B'))

SUCCEED = (
    ('chain', chain(add(1, 2), t('B.mul', 10), add(5)), 35),
    ('chain_of_one', chain(add(1, 2)), 3),
    ('chain_immutable', chain(add(1, 1), add(5, 5, on='B', immutable=True), add(1)), 11),
    ('chain_in_chain', chain(add(1, 1), chain(add(2, on='B'), add(3)), add(4, on='B')), 11),
    ('partial', {**t('A.pair', 2), 'partial': [1]}, [1, 2]),
    ('group', group(add(1, 1), add(2, 2, on='B'), add(3, 3)), [2, 4, 6]),
    ('group_of_one', group(add(1, 1)), [2]),
    ('group_of_many', group(*(add(i, i, on='AB'[i % 2]) for i in range(40))),
     [2 * i for i in range(40)]),
    ('group_of_chains', group(chain(add(1, 1), t('B.mul', 10)), chain(add(2, 2, on='B'),
                                                                      t('A.mul', 10))), [20, 40]),
    ('chord', chord(TWO, A_TSUM), 6),
    ('chord_of_one', chord(group(add(1, 1)), B_TSUM), 2),
    ('chord_of_many', chord(group(*(add(i, i, on='AB'[i % 2]) for i in range(40))), B_TSUM),
     sum(2 * i for i in range(40))),
    ('chord_without_header', chord(group(), B_TSUM), 0),
    ('chord_of_chains', chord(group(chain(add(1, 1), t('B.mul', 10)),
                                    chain(add(2, 2, on='B'), t('A.mul', 10))), B_TSUM), 60),
    ('chord_with_chain_as_body', chord(TWO, chain(B_TSUM, t('A.mul', 10))), 60),
    ('chord_with_group_as_body', chord(TWO, group(A_TSUM, B_TSUM)), [6, 6]),
    ('chord_with_immutable_body', chord(TWO, add(7, 7, immutable=True)), 14),
    ('chain_with_group', chain(add(1, 1), group(add(10, on='B'), add(20)), B_TSUM), 34),
    ('chain_with_group_and_more', chain(add(1, 1), group(add(10, on='B'), add(20)), B_TSUM,
                                        t('A.mul', 2), add(1, on='B')), 69),
    ('chain_that_ends_in_group', chain(add(1, 1), group(add(10, on='B'), add(20))), [12, 22]),
    ('chain_that_begins_with_group', chain(TWO, B_TSUM, t('A.mul', 2)), 12),
    ('chain_of_groups', chain(TWO, group(A_TSUM, B_TSUM)), [6, 6]),
    ('chain_of_groups_and_end', chain(TWO, group(A_TSUM, B_TSUM), A_TSUM), 12),
    ('chain_with_chord', chain(add(1, 1), chord(group(add(1, on='B'), add(2)), B_TSUM),
                               t('A.mul', 10)), 70),
    ('chord_in_group', group(chord(TWO, A_TSUM), add(1, 1, on='B')), [6, 2]),
    ('chord_in_chord', chord(group(chord(TWO, A_TSUM), add(5, 5, on='B')), B_TSUM), 16),
    ('chord_in_body', chord(TWO, chord(group(A_TSUM, B_TSUM), A_TSUM)), 12),
    ('chords_in_chain', chain(chord(TWO, A_TSUM), chord(group(add(1, on='B'), add(2)), B_TSUM),
                              chord(group(add(1), add(2, on='B')), A_TSUM)), 33),
    ('map', {'map': [A_TSUM, [[1, 2], [3, 4]]]}, [3, 7]),
    ('map_of_none', {'map': [A_TSUM, []]}, []),
    ('starmap', {'starmap': [t('A.add'), [[1, 2], [3, 4]]]}, [3, 7]),
    # Celery does not route chunks by their task.
    ('chunks', {'chunks': [t('A.add'), [[i, i] for i in range(5)], 2], 'call': {'queue': '@A'}},
     [[0, 2], [4, 6], [8]]),
    ('replaced', t('A.replaced', 1, 2), 30),
    ('replaced_in_chain', chain(t('A.replaced', 1, 2), add(1, on='B')), 31),
    ('replaced_in_chord', chord(group(t('A.replaced', 1, 2), add(1, 1, on='B')), B_TSUM), 32),
    ('replaced_by_group', t('A.spread', 10), [11, 12]),
    ('replaced_by_group_in_chain', chain(t('A.spread', 10), B_TSUM), 23),
    ('chord_that_grows', chord(group(t('A.grow', 1), add(1, 1, on='B')), B_TSUM), 104),
    ('retried_in_chain', chain(t('A.flaky', 1), add(1, on='B')), 2),
    ('retried_in_chord', chord(group(t('A.flaky', 1), add(1, 1, on='B')), B_TSUM), 3),
)


@table(SUCCEED, in_fleets)
def canvas(client, names, tree, value):
    succeeds(client, client.canvas(told(tree, names, uuid.uuid4())), value)


BOOM, BOOM_B = t('A.boom', 'ValueError', 'bang', immutable=True), \
    t('B.boom', 'ValueError', 'bang', immutable=True)

# What fails, with which error.
FAIL = (
    ('chain_first', chain(BOOM, add(1, on='B'), add(1)), 'ValueError'),
    ('chain_middle', chain(add(1, 1), BOOM_B, add(1)), 'ValueError'),
    ('chain_last', chain(add(1, 1), add(1, on='B'), BOOM), 'ValueError'),
    ('chord_header', chord(group(add(1, 1, on='B'), BOOM), B_TSUM), 'ChordError'),
    ('chord_header_all', chord(group(BOOM, BOOM_B), B_TSUM), 'ChordError'),
    ('chord_body', chord(TWO, BOOM_B), 'ValueError'),
    ('chord_chain_first', chord(group(chain(BOOM, add(1, on='B')), add(1, 1)), B_TSUM),
     'ChordError'),
    ('chord_chain_last', chord(group(chain(add(1, 1, on='B'), BOOM), add(1, 1)), B_TSUM),
     'ChordError'),
    ('in_group_of_chain', chain(add(1, 1), group(BOOM_B, add(2)), A_TSUM), 'ChordError'),
    ('after_group', chain(add(1, 1), group(add(1, on='B'), add(2)), BOOM, add(1, on='B')),
     'ValueError'),
    ('wrong_arguments', chain(add(1, 1), t('B.nothing'), add(1)), 'TypeError'),
    ('retries_in_vain', chain(t('A.hopeless', True), add(1, on='B')), 'KeyError'),
    ('replaced_by_failure', chain(t('A.replaced', 'x', 1), add(1, on='B')), 'TypeError'),
)


@table(FAIL, in_fleets)
def canvas_fails(client, names, tree, type):
    fails(client, client.canvas(told(tree, names, uuid.uuid4())), type)


# After these Celery 5.2 tells nobody behind a chord, who waits for ever; it is our worker that must
# find the failure.
@table((('before_group', chain(BOOM, group(add(1, on='B'), add(2)), A_TSUM), 'ValueError'),),
       in_some_fleets('c', 'c_py'))
@table((('chord_in_chain', chain(chord(group(BOOM, add(1, 1, on='B')), B_TSUM), add(1)),
         'ChordError'),
        ('chord_in_chord', chord(group(chord(group(BOOM, add(1, 1, on='B')), A_TSUM), add(1, 1)),
                                 B_TSUM), 'ChordError')), in_some_fleets('c'))
def canvas_fails_beyond(client, names, tree, type):
    fails(client, client.canvas(told(tree, names, uuid.uuid4())), type)


# What else runs, by its id: callbacks and errbacks. The value of #failed is the id of what failed.
LINKS = (
    ('task', add(1, 1, link=[named(t('B.mul', 10), '#1')]), {'#1': 20}),
    ('two', add(1, 1, link=[named(t('B.mul', 10), '#1'), named(t('A.mul', 20), '#2')]),
     {'#1': 20, '#2': 40}),
    ('immutable', add(1, 1, link=[named(add(3, 4, on='B', immutable=True), '#1')]), {'#1': 7}),
    ('chain', add(1, 1, link=[chain(t('B.mul', 10), named(add(1), '#1'))]), {'#1': 21}),
    ('group', add(1, 1, link=[group(named(t('B.mul', 10), '#1'), named(t('A.mul', 20), '#2'))]),
     {'#1': 20, '#2': 40}),
    ('chord', add(1, 1, link=[chord(group(t('B.mul', 10), t('A.mul', 20)),
                                    named(B_TSUM, '#1'))]), {'#1': 60}),
    ('of_chain', chain(add(1, 1), add(1, on='B'), link=[named(t('A.mul', 10), '#1')]), {'#1': 30}),
    ('of_chord', chord(TWO, A_TSUM, link=[named(t('B.mul', 10), '#1')]), {'#1': 60}),
    ('of_member', chord(group(add(1, 1, link=[named(t('B.mul', 10), '#1')]), add(2, 2, on='B')),
                        A_TSUM), {'#1': 20}),
    ('of_link', add(1, 1, link=[named(t('B.mul', 10, link=[named(add(1), '#2')]), '#1')]),
     {'#1': 20, '#2': 21}),
    ('of_retried', t('A.flaky', 1, link=[named(add(1, on='B'), '#1')]), {'#1': 2}),
    ('of_replaced', t('A.replaced', 1, 2, link=[named(add(1, on='B'), '#1')]), {'#1': 31}),
)


@table(LINKS, in_fleets)
def link(client, names, tree, values):
    unique = str(uuid.uuid4())
    client.get(client.canvas(told(tree, names, unique)))
    for name, value in values.items():
        succeeds(client, name.replace('#', unique + '-'), value)


ERRBACK = named(t('B.echo'), '#errback')
ERRORS = (
    ('task', {**named(BOOM, '#failed'), 'link_error': [ERRBACK]}),
    ('chain', chain(add(1, 1, on='B'), named(BOOM, '#failed'), add(1), link_error=[ERRBACK])),
    ('chord_body', chord(TWO, named(BOOM, '#failed'), link_error=[ERRBACK])),
    ('chord_header', chord(group(BOOM, add(1, 1, on='B')),
                           {**named(A_TSUM, '#failed'), 'link_error': [ERRBACK]})),
    ('member', chord(group({**named(BOOM, '#failed'), 'link_error': [ERRBACK]},
                           add(1, 1, on='B')), A_TSUM)),
    ('retried', {**named(t('A.hopeless', True), '#failed'), 'link_error': [ERRBACK]}),
)


@table(ERRORS, in_fleets)
def link_error(client, names, tree):
    unique = str(uuid.uuid4())
    client.canvas(told(tree, names, unique))
    succeeds(client, unique + '-errback', unique + '-failed')


# ---- What is kept

@in_fleets
def saved_group(client, names):
    tree = told(group(add(1, 1), add(2, 2, on='B')), names, uuid.uuid4())
    group_id, members = client.group(tree, save=True)
    for other in map(CLIENTS_BY_NAME.get, CLIENTS):
        assert other.restore(group_id) == (members, [2, 4])


# A starmap is not among them: one that Celery has read it does not route by its task.
KEPT = [row for row in SUCCEED if row[0] in (
    'chain', 'group', 'chord', 'chord_of_chains', 'chain_with_group_and_more', 'chord_in_chord',
    'partial')]


@table(KEPT, in_fleets)
def kept_as_text(client, names, tree, value):
    """The other client sends what this one wrote."""
    tree = told(tree, names, uuid.uuid4())
    other = next(c for c in map(CLIENTS_BY_NAME.get, CLIENTS) if c is not client)
    succeeds(other, other.canvas({'json': json.loads(client.text(tree))}), value)


@table((('chain', chain(add(1, 1), add(1, on='B')), 3), ('chord', chord(TWO, B_TSUM), 6)),
       lambda fn: in_fleets(fn, clients=['ours']))
def stamped(client, names, tree, value):
    """Celery 5.2 does not know of stamps."""
    succeeds(client, client.canvas({**told(tree, names, uuid.uuid4()), 'stamps': {'who': 'me'}}),
             value)
