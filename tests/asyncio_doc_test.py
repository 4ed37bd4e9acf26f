#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""docs/asyncio.md names all that asyncio, selectors and gevent have, and of ours only what is there.

What needs gevent is skipped where Debian's python3-gevent is not installed; another version of
Python than the page means is told by a skip, too.
"""
import asyncio
import asyncio.subprocess
import importlib
import pathlib
import re
import selectors
import sys

import tap

ROOT = pathlib.Path(__file__).resolve().parent.parent
PAGE = ROOT / 'docs' / 'asyncio.md'
TEXT = PAGE.read_text(encoding='utf-8')
GEVENT = TEXT.split('\n## gevent\n')[1]
SELECTORS = TEXT.split('\n## selectors\n')[1].split('\n## ')[0]
ASYNCIO = TEXT.split('\n## selectors\n')[0]
HEADERS = '\n'.join(path.read_text() for path in (ROOT / 'include' / 'sanjab').glob('*.h'))
# By the page's word for it. What a class has from one of the others is said there.
CLASSES = {
    'loop': asyncio.AbstractEventLoop,
    'EventLoopPolicy': asyncio.AbstractEventLoopPolicy,
    **{name: getattr(asyncio, name) for name in (
        'Barrier', 'BufferedProtocol', 'Condition', 'DatagramProtocol', 'DatagramTransport',
        'Event', 'Future', 'Handle', 'Lock', 'Protocol', 'Queue', 'Runner', 'Semaphore', 'Server',
        'StreamReader', 'StreamWriter', 'SubprocessProtocol', 'SubprocessTransport', 'Task',
        'TaskGroup', 'TimerHandle', 'Timeout', 'Transport')},
    'Process': asyncio.subprocess.Process,
}
LIKE = {'DatagramProtocol': 'Protocol', 'SubprocessProtocol': 'Protocol',
        'BufferedProtocol': 'Protocol', 'DatagramTransport': 'Transport',
        'SubprocessTransport': 'Transport'}
# What Python 3.12 and 3.13 add, which an older one cannot tell.
ASYNCIO_LATER = (
    'EventLoop', 'Queue.shutdown', 'QueueShutDown', 'Server.abort_clients', 'Server.close_clients',
    'Task.get_context', 'create_eager_task_factory', 'eager_task_factory')
# Attributes that the documentation names, and the classes do not have.
ASYNCIO_OBJECTS = (
    'loop.slow_callback_duration', 'Process.pid', 'Process.stdin', 'Process.stdout',
    'Process.stderr', 'subprocess.PIPE', 'subprocess.STDOUT', 'subprocess.DEVNULL')
GEVENT_ALL = ('', 'pool', 'queue', 'event', 'lock', 'local', 'server', 'baseserver', 'pywsgi',
              'backdoor', 'fileobject', 'greenlet', 'hub', 'monkey', 'select', 'selectors',
              'threadpool', 'timeout', 'util')
GEVENT_IMPLEMENTS = ('os', 'signal', 'socket', 'ssl', 'subprocess', 'thread', 'threading', 'time')
GEVENT_CLASSES = (
    'Greenlet', 'Timeout', 'baseserver.BaseServer', 'event.AsyncResult', 'event.Event',
    'lock.RLock', 'lock.Semaphore', 'pool.Group', 'pool.Pool', 'queue.Channel',
    'queue.JoinableQueue', 'queue.Queue', 'server.DatagramServer', 'server.StreamServer',
    'threadpool.ThreadPool', 'threadpool.ThreadPoolExecutor')
GEVENT_LIKE = {'pool.Pool': 'pool.Group', 'queue.Channel': 'queue.Queue',
               'queue.JoinableQueue': 'queue.Queue',
               'server.DatagramServer': 'baseserver.BaseServer',
               'server.StreamServer': 'baseserver.BaseServer'}


def public(names):
    return [name for name in names if not name.startswith('_')]


def rows(text):
    """Of each row: its names, and what is said of them."""
    for line in text.splitlines():
        cells = line.strip('| ').split(' | ')
        if line.startswith('| `'):
            assert len(cells) == 2 and cells[1], line
            yield re.findall(r'`([^`]+)`', cells[0]), cells[1]


def expect_named(names, text):
    have = {name for named, _ in rows(text) for name in named}
    missing = sorted(set(names) - have)
    assert not missing, f'{PAGE.name} does not name {missing}'


def of_asyncio():
    if not (3, 11) <= sys.version_info[:2] <= (3, 13):
        raise tap.Skip(f'the page means Python 3.11 to 3.13, and this is {sys.version.split()[0]}')
    names = [*public(asyncio.__all__), *ASYNCIO_LATER, *ASYNCIO_OBJECTS]
    for name, kind in CLASSES.items():
        known = set(dir(getattr(asyncio, LIKE[name]))) if name in LIKE else set()
        names += [f'{name}.{member}' for member in public(dir(kind)) if member not in known]
    return names


def gevent_class(name):
    module, _, kind = f'gevent.{name}'.rpartition('.')
    return getattr(importlib.import_module(module), kind)


def of_gevents_class(name):
    known = set(dir(gevent_class(GEVENT_LIKE[name])) if name in GEVENT_LIKE else dir(BaseException))
    return [f'gevent.{name}.{member}' for member in public(dir(gevent_class(name)))
            if member not in known]


def of_gevent():
    try:
        importlib.import_module('gevent')
    except ImportError as error:
        raise tap.Skip('python3-gevent is not installed') from error
    names = []
    for module in GEVENT_ALL:
        path = f'gevent.{module}'.rstrip('.')
        names += [f'{path}.{name}' for name in public(importlib.import_module(path).__all__)]
    for module in GEVENT_IMPLEMENTS:
        path = f'gevent.{module}'
        names += [f'{path}.{name}' for name in public(importlib.import_module(path).__implements__)]
    for name in GEVENT_CLASSES:
        names += of_gevents_class(name)
    return names


def test_every_name_of_asyncios_stands_there():
    expect_named(of_asyncio(), ASYNCIO)


def test_every_name_of_selectors_stands_there():
    names = [name for name in public(dir(selectors))
             if getattr(getattr(selectors, name), '__module__', '') == 'selectors' or
             name.startswith('EVENT_')]
    names += [f'BaseSelector.{name}' for name in public(dir(selectors.BaseSelector))]
    names += [f'SelectorKey.{name}' for name in selectors.SelectorKey._fields]
    expect_named(names, SELECTORS)


def test_every_name_of_gevents_stands_there():
    expect_named(of_gevent(), GEVENT)


def test_no_name_stands_there_twice():
    for text in (ASYNCIO, SELECTORS, GEVENT):
        named = [name for names, _ in rows(text) for name in names]
        twice = sorted({name for name in named if named.count(name) > 1})
        assert not twice, twice


def test_what_is_ours_is_in_the_headers():
    names = set(re.findall(r'\b(?:sj|SJ)_\w+', TEXT))
    assert len(names) > 60
    missing = sorted(name for name in names if not re.search(rf'\b{name}\b', HEADERS))
    assert not missing, missing


def test_each_row_names_ours_or_a_reason():
    for names, said in rows(TEXT):
        ours = re.search(r'`(sj|SJ)_|`gevent`|`StreamWriter`|-E[A-Z]', said)
        assert ours or said.startswith(('none: ', 'none (', 'not yet')) or 'scope' in said, (
            f'{names}: {said}')


tap.run(globals())
