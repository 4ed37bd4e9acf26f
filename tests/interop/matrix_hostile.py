# SPDX-License-Identifier: MIT
"""Interoperability: messages that stop or confuse a worker of Celery's (§1.1), before ours.

It lives; each is a dead letter with its reason, or is run where what is wrong does not matter.
"""
import base64
import json
import uuid
import zlib

import matrix_table
from matrix_fleet import eventually
from matrix_table import alone, succeeds, table


def message(body='[[1, 2], {}, {}]', headers=(), without=(), encode=True, **outer):
    """A good envelope but for what is said: of members, as "headers.id", some can be missing."""
    name = str(uuid.uuid4())
    if isinstance(body, str):
        body = body.encode()
    m = {'body': base64.b64encode(body).decode() if encode else body.decode(),
         'content-encoding': 'utf-8', 'content-type': 'application/json',
         'headers': {'task': 'c.add', 'id': name, **dict(headers)} if headers != [] else [],
         'properties': {'correlation_id': name, 'delivery_tag': str(uuid.uuid4()),
                        'delivery_info': {'exchange': '', 'routing_key': 'c'}, 'priority': 0,
                        'body_encoding': 'base64'}, **outer}
    for path in without:
        place = m
        *way, last = path.split('.')
        for step in way:
            place = place[step]
        del place[last]
    return json.dumps(m)


BAD = (
    ('no_json', "not JSON", '{"body": '),
    ('no_bytes', "not JSON", ''),
    ('no_text', "not JSON", b'\xff\xfe\x00\x01'),
    ('no_object', "not JSON", '[1, 2]'),
    ('number', "not JSON", '42'),
    ('empty_object', "bad envelope: 'headers'", '{}'),
    ('no_id', "bad header: header 'id'", message(without=['headers.id'])),
    ('no_headers', "bad envelope: 'headers'", message(without=['headers'])),
    ('headers_are_a_list', "bad envelope: 'headers'", message(headers=[])),
    ('body_of_two', "bad body: the body has 2 parts", message('[[1, 2], {}]')),
    ('body_of_four', "bad body: the body has 4 parts", message('[[1, 2], {}, {}, {}]')),
    ('body_is_a_number', "bad body", message('7')),
    ('no_content_type', "bad envelope: 'content-type'", message(without=['content-type'])),
    ('body_no_json', "bad body", message('[[1, 2')),
    ('body_no_base64', "bad body", message('!!!', encode=False)),
    ('body_missing', "bad envelope: 'body'", message(without=['body'])),
    ('unknown_content_type', "refused: content of the type 'application/x-odd'",
     message(**{'content-type': 'application/x-odd'})),
    ('pickle', "refused: content of the type 'application/x-python-serialize'",
     message(b'\x80\x04K\x01.', **{'content-type': 'application/x-python-serialize',
                                'content-encoding': 'binary'})),
    ('yaml', "refused: content of the type 'application/x-yaml'",
     message('- 1', **{'content-type': 'application/x-yaml'})),
    ('msgpack_broken', "bad body",
     message(b'\x93\xdc\xff', **{'content-type': 'application/x-msgpack',
                                 'content-encoding': 'binary'})),
    ('kwargs_null', "bad body: the keyword arguments", message('[[1, 2], null, {}]')),
    ('kwargs_list', "bad body: the keyword arguments", message('[[1, 2], [], {}]')),
    ('args_object', "bad body: the arguments", message('[{}, {}, {}]')),
    ('embed_list', "bad body: the third part", message('[[1, 2], {}, []]')),
    ('eta_number', "bad header: header 'eta'", message(headers={'eta': 17})),
    ('eta_odd', "bad header: header 'eta'", message(headers={'eta': 'tomorrow'})),
    ('expires_number', "bad header: header 'expires'", message(headers={'expires': 17})),
    ('timelimit_of_one', "bad header: header 'timelimit'", message(headers={'timelimit': [1]})),
    ('deep', "nested too deep", message('[' * 5000 + ']' * 5000)),
    ('compression_unknown', "bad compression",
     message(headers={'compression': 'application/x-odd'})),
    ('compression_broken', "bad compression",
     message(headers={'compression': 'application/x-gzip'})),
    ('bomb', "too large",
     message(zlib.compress(b' ' * (200 << 20)), headers={'compression': 'application/x-gzip'})),
    ('task_is_a_number', "bad header: header 'task'", message(headers={'task': 5})),
    ('task_is_empty', "bad header: header 'task'", message(headers={'task': ''})),
    ('unknown_task', "no task is named 'c.nosuch'", message(headers={'task': 'c.nosuch'})),
    ('retries_text', "bad header: header 'retries'", message(headers={'retries': 'many'})),
    ('id_is_a_list', "bad header: header 'id'", message(headers={'id': ['x']})),
    ('id_is_long', "bad header: header 'id'", message(headers={'id': 'x' * 10000})),
    ('no_tag', "bad envelope: property 'delivery_tag'",
     message(without=['properties.delivery_tag'])),
    ('no_delivery_info', "bad envelope: property 'delivery_info'",
     message(without=['properties.delivery_info'])),
    ('no_exchange', "bad envelope: property 'delivery_info'",
     message(without=['properties.delivery_info.exchange'])),
    ('no_properties', "bad envelope: 'properties'", message(without=['properties'])),
    ('args_null', "bad body: the arguments", message('[null, {}, {}]')),
)


def dead():
    return json.loads(matrix_table.FLEET.command('dead', 'list', '-j'))


def push(raw):
    matrix_table.FLEET.server.ask('LPUSH', 'c', raw)


@table(BAD, alone)
def bad_message(clients, reason, raw):
    matrix_table.FLEET.command('dead', 'drop', '--all')
    push(raw)
    letter, = eventually(dead, 'a dead letter')
    assert letter['reason'].startswith(reason), (letter, reason)
    assert letter['queue'] == 'c', letter
    # Where there is an id, who waits for it is told.
    if letter['task']:
        o = clients['python'].get(letter['id'])
        assert o.state == 'FAILURE', o
    succeeds(clients['ours'], clients['ours'].send('c.add', [1, 2]), 3)


ODD = (
    ('without_correlation_id', message(without=['properties.correlation_id'])),
    ('without_encoding', message(**{'content-encoding': None})),
    ('not_in_base64', message(encode=False, without=['properties.body_encoding'])),
    ('with_a_long_fraction', message(headers={'eta': '2020-01-01T00:00:00.1234567+00:00'})),
    ('without_limits', message(headers={'timelimit': None})),
    ('without_embed', message('[[1, 2], {}, null]')),
    ('of_hybrid_form', message('{"args": [1, 2], "kwargs": {}}')),
)


@table(ODD, alone)
def odd_message(clients, raw):
    """It is run all the same."""
    push(raw)
    succeeds(clients['ours'], json.loads(raw)['headers']['id'], 3)
