# SPDX-License-Identifier: MIT
"""Interoperability: all kinds of arguments and results."""
import datetime
import decimal
import json
import math
import uuid

from matrix_table import case, succeeds, table

VALUES = (
    ('null', None), ('true', True), ('false', False), ('zero', 0), ('int', -7),
    ('int64', 2**63 - 1), ('int64_least', -2**63), ('big_int', 123456789012345678901234567890),
    ('huge_int', -10**400), ('float', 1.5), ('float_whole', 3.0), ('float_small', 5e-324),
    ('float_large', 1.7976931348623157e308), ('nan', math.nan), ('inf', math.inf),
    ('minus_inf', -math.inf), ('minus_zero', -0.0), ('text', 'h\u00e9llo'), ('empty_text', ''),
    ('nul', 'a\u0000b'), ('surrogate', '\ud800'), ('surrogate_low', 'x\udfffy'),
    ('astral', '\U0001f43f'), ('escapes', '"\\/\b\f\n\r\t\u001f\u007f\u2028'),
    ('empty_list', []), ('empty_object', {}),
    ('nested', {'a': [1, [2, {'b': [None, True, 'x', 1.5, {}]}], []], '': {'\u00e9': 'e'}}),
    ('deep', json.loads('[' * 60 + ']' * 60)), ('long_text', 'x' * 200000),
    ('many', list(range(20000))),
)


@table(VALUES)
def value(client, prefix, value):
    succeeds(client, client.send(prefix + 'echo', [value]), value)


UTC = datetime.timezone.utc
# What Python's client alone can say, and what kombu makes of it.
PYTHONS = (
    ('tuple', (1, (2,)), [1, [2]]),
    ('moment', datetime.datetime(2026, 11, 20, 1, 2, 3, 400000), '2026-11-20T01:02:03.400000'),
    ('moment_of_a_zone', datetime.datetime(2026, 11, 20, 1, 2, 3, tzinfo=UTC),
     '2026-11-20T01:02:03Z'),
    ('day', datetime.date(2026, 11, 20), '2026-11-20T00:00:00'),
    ('time', datetime.time(1, 2, 3), '01:02:03'),
    ('decimal', decimal.Decimal('1.50'), '1.50'),
    ('uuid', uuid.UUID(int=7), '00000000-0000-0000-0000-000000000007'),
)


@table(PYTHONS, case(clients=['python']))
def value_of_pythons(client, prefix, value, said):
    succeeds(client, client.send(prefix + 'echo', [value]), said)


@case()
def nothing_is_returned(client, prefix):
    succeeds(client, client.send(prefix + 'nothing'), None)


@case()
def arguments_by_name(client, prefix):
    succeeds(client, client.send(prefix + 'pair', [], {'b': 2, 'a': [1]}), [[1], 2])
    succeeds(client, client.send(prefix + 'pair', [1], {'b': {'x': None}}), [1, {'x': None}])


@case()
def arguments_with_types(client, prefix):
    said = [2**62, 0.1, True, 'h\u00e9']
    succeeds(client, client.send(prefix + 'typed', said), said)
