# SPDX-License-Identifier: MIT
"""Interoperability: the options of a call; what the clients write is compared, too."""
import base64
import importlib.util
import json
import re
import time
import uuid

import matrix_table
from matrix_table import alone, case, fails, succeeds, table


# ---- When

@case()
def countdown(client, prefix):
    sent = time.time()
    result = client.send(prefix + 'when', countdown=1)
    yield
    assert client.get(result).value >= sent + 1


@case()
def eta(client, prefix):
    due = time.time() + 1
    result = client.send(prefix + 'when', eta=due)
    yield
    # Our clock's microseconds and the text's are cut, not rounded.
    assert client.get(result).value >= due - 1e-5


@case()
def expires_later(client, prefix):
    succeeds(client, client.send(prefix + 'add', [1, 2], expires=60), 3)
    succeeds(client, client.send(prefix + 'add', [1, 2], expires_at=time.time() + 60), 3)


@case()
def expires_before_it_is_due(client, prefix):
    result = client.send(prefix + 'add', [1, 2], countdown=1, expires=0.5)
    yield
    fails(client, result, 'TaskRevokedError', 'expired', state='REVOKED')


@case()
def expired_when_it_comes(client, prefix):
    result = client.send(prefix + 'add', [1, 2], expires_at=time.time() - 1)
    fails(client, result, 'TaskRevokedError', 'expired', state='REVOKED')


# ---- Where

@case(prefixes=['c.', 'py.'])
def queue(client, prefix):
    """A task that both have goes to the queue of one."""
    lang = prefix[:-1]
    said = client.get(client.send('both.who', queue=lang)).value
    assert said['lang'] == lang, said


@case(prefixes=['c.', 'py.'])
def exchange(client, prefix):
    lang = prefix[:-1]
    queue = lang + '-bound'
    said = client.get(client.send('both.who', exchange=queue, routing_key=queue)).value
    assert said['lang'] == lang, said


@case(prefixes=['c.', 'py.'])
def exchange_with_a_key_of_its_own(client, prefix):
    """Bound as a program in Python does that has such a queue in its task_queues."""
    import kombu
    lang = prefix[:-1]
    bound = kombu.Queue(lang + '-bound', kombu.Exchange('keyed'), routing_key='to.' + lang)
    with matrix_table.CLIENTS_BY_NAME['python'].app.pool.acquire() as connection:
        bound.bind(connection.default_channel).declare()
    for _ in range(3):
        said = client.get(client.send('both.who', exchange='keyed', routing_key='to.' + lang)).value
        assert said['lang'] == lang, said


@case(clients=['ours'], prefixes=['c.', 'py.'])
def routing_key_alone(client, prefix):
    said = client.get(client.send('both.who', routing_key=prefix[:-1])).value
    assert said['lang'] == prefix[:-1], said


@table((('1', 1), ('5', 5), ('9', 9)))
def priority(client, prefix, n):
    succeeds(client, client.send(prefix + 'add', [1, 2], priority=n), 3)


# ---- How


# What kombu writes and reads only with python3-zstandard.
ZSTD = (('zstd', {'compression': 'zstd'}),) if importlib.util.find_spec('zstandard') else ()


@table((('zlib', {'compression': 'zlib'}), ('bzip2', {'compression': 'bzip2'}),
        ('msgpack', {'serializer': 'msgpack'}),
        ('msgpack_zlib', {'serializer': 'msgpack', 'compression': 'zlib'}),
        ('headers', {'headers': {'x-trace': 'abc', 'x-list': [1, None]}}),
        ('shadow', {'shadow': 'somebody.else'}), ('reply_to', {'reply_to': 'nobody'}),
        ('time_limits', {'time_limit': 50, 'soft_time_limit': 40.5}),
        ('transient', {'transient': True}),
        ('argsrepr', {'argsrepr': '(secret)', 'kwargsrepr': '{}'}), *ZSTD))
def option(client, prefix, options):
    said = ['h\u00e9', 1.5, {'k': [True, None, -7]}, 'x' * 3000]
    succeeds(client, client.send(prefix + 'echo', [said], **options), said)


@case()
def task_id(client, prefix):
    name = f'my-{uuid.uuid4()}'
    assert client.send(prefix + 'add', [1, 2], task_id=name) == name
    succeeds(client, name, 3)
    said = client.get(client.send(prefix + 'who', task_id=name + '-2')).value
    assert said['id'] == name + '-2' and said['root'] == name + '-2', said


@case(clients=['ours'])
def key(client, prefix):
    """Sent twice, run once; Celery knows no such thing."""
    key = str(uuid.uuid4())
    first = client.send(prefix + 'add', [1, 2], key=key, countdown=0.2)
    assert client.send(prefix + 'add', [3, 4], key=key) == first
    succeeds(client, first, 3)


@case()
def relatives(client, prefix):
    said = client.get(client.send(prefix + 'who', root_id='the-root', parent_id='the-parent',
                                  group_id='the-group')).value
    assert (said['root'], said['parent'], said['group']) == \
        ('the-root', 'the-parent', 'the-group'), said


def known(name, args=(), **more):
    """A tree whose id is known."""
    task = str(uuid.uuid4())
    return task, {'task': name, 'args': list(args), 'call': {'task_id': task}, **more}


@case()
def ignore_result(client, prefix):
    after, link = known(prefix + 'echo', ['after'], immutable=True)
    result = client.send(prefix + 'add', [1, 2], ignore_result=True, link=link)
    succeeds(client, after, 'after')
    assert client.state(result).state == 'PENDING', client.state(result)


@case()
def ignore_result_by_the_task(client, prefix):
    after, link = known(prefix + 'echo')
    result = client.send(prefix + 'quiet', [5], link=link)
    succeeds(client, after, 5)
    assert client.state(result).state == 'PENDING', client.state(result)


@table((('c', 'c.'), ('py', 'py.')))
def link(client, prefix, other):
    after, then = known(other + 'pair', [1])
    succeeds(client, client.send(prefix + 'add', [1, 2], link=then), 3)
    succeeds(client, after, [3, 1])


@table((('c', 'c.'), ('py', 'py.')))
def link_error(client, prefix, other):
    after, then = known(other + 'echo')
    result = client.send(prefix + 'boom', ['ValueError', 'bang'], link_error=then)
    fails(client, result, 'ValueError', 'bang')
    succeeds(client, after, result)


# ---- What is written

# What differs from call to call, or by who writes it.
VOLATILE = (('properties', 'delivery_tag'), ('properties', 'reply_to'), ('headers', 'origin'),
            ('headers', 'lang'))
# What Celery writes since 5.3, as we do, and its 5.2 does not.
NEWER = {'replaced_task_nesting': 0, 'stamped_headers': None, 'stamps': {}}
MOMENT = 1795156176.25

WRITTEN = (
    ('plain', [2, 3], None, {}),
    ('no_arguments', [], None, {}),
    ('by_name', [], {'a': 1, 'b': [None, 'h\u00e9', 1.5, True]}, {}),
    ('odd_values', [float('inf'), 10**30, '\ud800\u0000', {'': {}}], None, {}),
    ('eta', [1], None, {'eta': MOMENT}),
    ('expires', [1], None, {'eta': MOMENT, 'expires_at': MOMENT + 0.5}),
    ('time_limits', [1], None, {'time_limit': 20, 'soft_time_limit': 10.5}),
    ('shadow', [1], None, {'shadow': 'other'}),
    ('headers', [1], None, {'headers': {'x': 1, 'y': [None]}}),
    ('ignore_result', [1], None, {'ignore_result': True}),
    ('transient', [1], None, {'transient': True}),
    ('group', [1], None, {'group_id': 'g', 'root_id': 'r', 'parent_id': 'p'}),
    ('link', [1], None, {'link': {'task': 'py.add', 'args': [1], 'kwargs': {'b': 2},
                                  'call': {'task_id': 'linked', 'queue': 'q'}}}),
    ('link_error', [1], None, {'link_error': {'task': 'py.echo', 'immutable': True}}),
    ('msgpack', [1, 'h\u00e9', {'k': 1.5}], None, {'serializer': 'msgpack'}),
    ('long', ['x' * 2000], None, {}),
)


def written(client, args, kwargs, options):
    """The envelope and the body that it writes, without what differs anyway."""
    client.send('nobodys.task', args, kwargs, queue='nobodys', task_id='the-id', **options)
    with matrix_table.CLIENTS_BY_NAME['python'].app.pool.acquire() as connection:
        raw = connection.default_channel.client.rpop('nobodys')
    assert raw is not None, f'{client.name} has sent nothing'
    m = json.loads(raw)
    body = base64.b64decode(m.pop('body'))
    for where, name in VOLATILE:
        m[where].pop(name, None)
    return m, body


@table(WRITTEN, alone)
def written_alike(clients, args, kwargs, options):
    ours, body = written(clients['ours'], args, kwargs, options)
    its, its_body = written(clients['python'], args, kwargs, options)
    its['headers'].update(NEWER)
    if re.search(r'[^ -~]|\.\.\.', its['headers']['argsrepr']):
        # For people's eyes: what is cut or escaped is so in each one's way.
        del ours['headers']['argsrepr'], its['headers']['argsrepr']
    assert ours == its, (ours, its)
    assert body == its_body, (body, its_body)
