#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""docs/celery.md names all that there is, here and in Celery, and its ten minutes are as told.

BUILD is the build folder. What needs Celery itself is skipped where Debian's python3-celery is not
installed, and the ten minutes also where redis-server is not.
"""
import os
import pathlib
import re
import signal
import shutil
import subprocess
import tempfile
import time

import redis_server
import tap

PYTHON = '/usr/bin/python3'
BUILD = pathlib.Path(os.environ['BUILD']).resolve()
ROOT = pathlib.Path(__file__).resolve().parent.parent
PAGE = ROOT / 'docs' / 'celery.md'
TEXT = PAGE.read_text(encoding='utf-8')
FILE = re.compile(r'<!-- file: (\S+) -->\n```\w*\n(.*?)```', re.S)
LINK = re.compile(r'\[[^\]]*\]\(([^)#:]*)(?:#([^)]*))?\)')
OPTIONS = TEXT.split('\nTheir options:\n')[1].split('\n## ')[0]
COMMANDS = TEXT.split('\n## Commands\n')[1].split('\nTheir options:\n')[0]
KINDS = TEXT.split('\n## Brokers, results, content\n')[1]
SETTINGS = TEXT.split('\n## Settings\n')[1].split('\n## Task options\n')[0]
RUN_TIME = 90

CELERY_SETTINGS = '''
from celery.app import defaults
for name, _ in defaults.flatten(defaults.NAMESPACES):
    print(name)
'''
CELERY_OPTIONS = '''
from celery.bin.worker import worker
for parameter in worker.params:
    for name in parameter.opts:
        if name.startswith('-'):
            print(name)
'''
CELERY_PROGRAM = '''
from celery.bin.celery import celery
def walk(command, path):
    for parameter in command.params:
        for name in parameter.opts + parameter.secondary_opts:
            if name.startswith('-'):
                print(f'{path}:{name}')
    for name, inner in getattr(command, 'commands', {}).items():
        print(f'{path} {name}:'.strip().replace(' ', '.'))
        walk(inner, f'{path} {name}'.strip().replace(' ', '.'))
walk(celery, '')
'''
CELERY_NAMES = '''
from celery import signals
from celery.app.backends import BACKEND_ALIASES
from kombu.transport import TRANSPORT_ALIASES
from kombu.transport.redis import Channel
for name in dir(signals):
    if isinstance(getattr(signals, name), signals.Signal):
        print(f'signal:{name}')
for name in list(BACKEND_ALIASES) + list(TRANSPORT_ALIASES):
    print(f'kind:{name.lower()}')
for name in Channel.from_transport_options:
    print(f'option:{name}')
'''
CELERY_COMMANDS = '''
from celery.worker.control import Panel
for name in sorted(Panel.meta):
    print(name)
'''
CELERY_TASK_OPTIONS = '''
from celery.app.task import Task
for name, _ in Task.from_config:
    print(name)
'''


def of_celery(program):
    done = subprocess.run([PYTHON, '-c', program], text=True, stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL, timeout=RUN_TIME)
    if done.returncode != 0:
        raise tap.Skip('python3-celery is not installed')
    return done.stdout.split()


def ours(*arguments, **options):
    return subprocess.run([str(BUILD / 'sanjab'), *arguments], text=True, timeout=RUN_TIME,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **options)


def marked(text):
    """The words that stand between backticks."""
    return set(re.findall(r'`([^`\n]+)`', text))


def expect_named(names, text=TEXT):
    have = {word for words in marked(text) for word in re.split(r'[ (=,]+', words)}
    missing = sorted(set(names) - have)
    assert not missing, f'{PAGE.name} does not name {missing}'


def rows(text):
    """The names that the first column has, and what is said of them."""
    for line in text.splitlines():
        cells = re.split(r' (?<!\\)\| ', line.strip('| '), maxsplit=1)
        if line.startswith('| ') and len(cells) == 2:
            yield sorted(marked(cells[0])), cells[1]


def complaints(lines):
    """What sanjab conf says to a file with these lines."""
    with tempfile.TemporaryDirectory() as place:
        file = pathlib.Path(place) / 'sanjab.conf'
        file.write_text('\n'.join(lines) + '\n')
        return ours('conf', '--config', str(file)).stdout


def test_every_setting_of_celerys_stands_there():
    expect_named(of_celery(CELERY_SETTINGS), SETTINGS)


def test_every_setting_of_ours_stands_there():
    names = re.findall(r'^ +\{ROW\((\w+)\)',
                       (ROOT / 'src' / 'queue' / 'settings' / 'settings_table.c').read_text(), re.M)
    assert len(names) > 30
    expect_named(names, SETTINGS)


def test_settings_are_had_or_refused_as_it_says():
    had, let_pass, refused = [], [], []
    for names, said in rows(SETTINGS):
        only = re.match(r'only `([^`]+)`', said)
        for name in names:
            if only:
                let_pass.append(f'{name} = {only.group(1)}')
                refused.append(f'{name} = something else')
            elif said.startswith(('no', 'not yet')):
                refused.append(f'{name} = something')
            else:
                had.append(name)
    assert len(had) > 25 and len(let_pass) > 15 and len(refused) > 100
    said = complaints(let_pass)
    assert 'sanjab:' not in said, said
    said = complaints(refused)
    for line in refused:
        name = line.split(' ')[0]
        assert f'{name} is no setting here' in said, f'{name} is not refused'
    said = complaints([f'{name} = \x01' for name in had])
    for name in had:
        assert f'{name} is no setting here' not in said, said
        assert f"no setting '{name}'" not in said, said


def test_every_option_of_celerys_worker_stands_there():
    expect_named(of_celery(CELERY_OPTIONS))


def test_every_option_of_celerys_worker_is_had_or_refused_with_a_reason():
    had = re.findall(r'^  (?:(-\w), |    )(--[a-z-]+)', ours('worker', '--help').stdout, re.M)
    had = {name for names in had for name in names}
    others = [name for name in of_celery(CELERY_OPTIONS) if name not in had]
    assert len(others) > 20, others
    for name in others:
        said = ours('worker', name).stdout
        assert f"'worker' has no option {name}: " in said, said
        assert '--help' not in said and 'did you mean' not in said, said


def celerys_program():
    """Of each command that is not the worker: its options. What has none of ours is left out."""
    refused = {name.split(' ')[0] for names, said in rows(COMMANDS) for name in names
               if said.startswith(('no', 'not yet')) or said == '`inspect report`'}
    commands = {}
    for line in of_celery(CELERY_PROGRAM):
        command, option = line.split(':')
        commands.setdefault(command, [])
        if option:
            commands[command].append(option)
    for name in refused:
        assert name in commands or name == 'plug-ins', f'celery has no command {name}'
    del commands['worker']
    return {name: options for name, options in commands.items()
            if name.split('.')[0] not in refused}


def test_every_command_of_celerys_stands_there():
    ours_too = {'', 'call', 'result', 'status', 'inspect', 'control', 'events', 'purge'}
    assert set(celerys_program()) == ours_too, set(celerys_program()) ^ ours_too
    for name in of_celery(CELERY_PROGRAM):
        if name.endswith(':') and '.' not in name:
            expect_named([name[:-1]], COMMANDS)


def test_every_option_of_celerys_commands_stands_there():
    there = set()
    for line in OPTIONS.splitlines():
        cells = [cell.strip() for cell in line.strip('|').split(' | ')]
        if len(cells) == 3:
            names = marked(cells[0]) if cells[0] != 'all' else {''}
            there |= {(name, option) for name in names for option in marked(cells[1])}
    wanted = {(name, option) for name, options in celerys_program().items() for option in options}
    assert wanted <= there, sorted(wanted - there)
    assert there - wanted <= {('', '--skip-checks')}, sorted(there - wanted)  # that is 5.3's


def test_every_option_of_celerys_commands_is_had_or_refused_with_a_reason():
    program = celerys_program()
    count = 0
    for command in program:
        if not command:
            continue
        helped = ours(command, '--help').stdout
        had = set(re.findall(r'^ +(?:(?:-\w, )?)(--[a-z-]+)', helped, re.M))
        had |= set(re.findall(r'^ +(-\w), --', helped, re.M))
        for name in program[command] + program['']:
            if name in had or name == '--version':
                continue
            said = ours(command, name).stdout
            assert f"'{command}' has no option {name}: " in said, said
            assert '--help' not in said and 'did you mean' not in said, said
            count += 1
    assert count > 60


def test_a_command_of_celerys_that_there_is_not_says_what_to_do():
    for line in of_celery(CELERY_PROGRAM):
        name, option = line.split(':')
        if not option and '.' not in name and name not in celerys_program() and name != 'worker':
            said = ours(name).stdout
            assert f"there is no command '{name}': " in said and '--help' not in said, said


def test_every_signal_kind_and_transport_option_of_celerys_stands_there():
    for line in of_celery(CELERY_NAMES):
        what, name = line.split(':')
        if what == 'kind':
            assert re.search(rf'`{name}(:|\+|`)', KINDS), f'{name} is not named'
        else:
            expect_named([name], KINDS)


def test_every_option_of_our_worker_stands_there():
    options = re.findall(r'^  (?:-\w, |    )(--[a-z-]+)', ours('worker', '--help').stdout, re.M)
    assert len(options) > 15
    expect_named(set(options) - {'--help'})


def test_every_command_of_control_stands_there():
    expect_named(set(of_celery(CELERY_COMMANDS)))


def test_every_command_of_ours_stands_there():
    commands = re.findall(r'^  ([a-z]+)  ', ours('--help').stdout.split('options:')[0], re.M)
    assert 'worker' in commands
    expect_named(commands)


def test_every_task_option_of_celerys_stands_there():
    expect_named(of_celery(CELERY_TASK_OPTIONS))


def test_every_option_of_a_task_and_of_a_call_stands_there():
    for header, name in (('task', 'sj_task_options'), ('app', 'sj_call')):
        header = (ROOT / 'include' / 'sanjab' / f'{header}.h').read_text()
        body = re.search(rf'typedef struct {name} \{{(.*?)\n\}}', header, re.S).group(1)
        body = re.sub(r'/\*.*?\*/', '', body, flags=re.S)
        members = re.findall(r'(\w+);', body)
        assert len(members) > 10
        expect_named(f'.{member}' for member in members)


def test_files_are_those_of_the_examples():
    blocks = FILE.findall(TEXT)
    assert len(blocks) >= 5
    for path, text in blocks:
        there = (ROOT / path).read_text().split('\n', 1)
        assert 'SPDX' in there[0]
        assert text == there[1], f'{path} differs'


def test_links_lead_somewhere():
    heads = {re.sub(r'[^a-z0-9 -]', '', head.lower()).replace(' ', '-')
             for head in re.findall(r'^#+ (.*)$', TEXT, re.M)}
    for path, anchor in LINK.findall(TEXT):
        assert not path or (PAGE.parent / path).exists(), path
        assert path or anchor in heads, anchor


class Project:
    """The example's folder, with workers of both kinds, on a Redis of its own."""

    def __init__(self, server):
        self.place = pathlib.Path(tempfile.mkdtemp(prefix='sanjab-celery-'))
        self.env = dict(os.environ, HOME=str(self.place), PYTHONPATH=str(self.place),
                        SANJAB_INCLUDE=str(ROOT / 'include'), XDG_CACHE_HOME=str(self.place / 'c'))
        self.workers = []
        shutil.copytree(ROOT / 'examples' / 'celery', self.place, dirs_exist_ok=True)
        for name in ('sanjab.conf', 'shop/settings.py'):
            file = self.place / name
            file.write_text(file.read_text().replace('redis://localhost:6379/0', server.url))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for worker in self.workers:
            if worker.poll() is None:
                os.killpg(worker.pid, signal.SIGKILL)
            worker.wait()
        shutil.rmtree(self.place, ignore_errors=True)

    def start(self, name, sign, *command):
        """Starts a worker, and waits until its log has the sign."""
        log = self.place / f'{name}.log'
        with open(log, 'w', encoding='utf-8') as out:
            worker = subprocess.Popen(command, cwd=self.place, env=self.env, stdout=out,
                                      stderr=subprocess.STDOUT, start_new_session=True)
        self.workers.append(worker)
        end = time.monotonic() + RUN_TIME
        while sign not in log.read_text(encoding='utf-8'):
            assert worker.poll() is None and time.monotonic() < end, log.read_text('utf-8')
            time.sleep(0.1)
        return worker

    def run(self, *command):
        done = subprocess.run(command, cwd=self.place, env=self.env, text=True, timeout=RUN_TIME,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        assert done.returncode == 0, f'{command}: {done.stdout}'
        return done.stdout.strip()

    def python(self, program):
        return self.run(PYTHON, '-c', f'from shop.tasks import *; print({program})')

    def celery(self, *arguments):
        return self.run(PYTHON, '-m', 'celery', '-A', 'shop', *arguments)

    def start_celery(self, name, *arguments):
        return self.start(name, 'ready.', PYTHON, '-m', 'celery', '-A', 'shop', 'worker', '-c', '1',
                          '-l', 'info', '-n', f'{name}@here', *arguments)


def test_the_ten_minutes_are_as_told():
    of_celery('import celery, redis')
    sanjab = str(BUILD / 'sanjab')
    with redis_server.RedisServer() as server, Project(server) as p:
        p.start_celery('py')
        c = p.start('c', 'is ready', sanjab, 'worker', '-A', 'fast.c', '-n', 'c@here')
        assert p.python('count_primes.delay(1000).get(timeout=60)') == '168'
        mixed = p.python('(count_primes.s(100) | receipt.s(9.5))().get(timeout=60)')
        assert mixed == 'order 25: 9.50'
        assert p.run(str(BUILD / 'tests' / 'celery_order')) == 'SUCCESS order 7: 9.50'
        called = p.run(sanjab, 'call', 'shop.tasks.receipt', '--args', '[8, 3.5]', '--wait', '60')
        assert called == '"order 8: 3.50"'
        assert len(p.celery('call', 'shop.tasks.count_primes', '--args', '[1000]')) == 36
        status = p.celery('status')
        assert 'c@here: OK' in status and 'py@here: OK' in status, status
        registered = p.run(sanjab, 'inspect', 'registered')
        assert 'shop.tasks.receipt' in registered and 'c@here' in registered, registered
        status = p.run(sanjab, 'status')
        assert 'c@here' in status and 'py@here' in status, status
        p.run(sanjab, 'control', 'shutdown', '--destination', 'c@here')
        assert c.wait(timeout=RUN_TIME) == 0
        p.start_celery('back', '-Q', 'celery,fast')
        assert p.python('count_primes.delay(1000).get(timeout=60)') == '168'


tap.run(globals())
