#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""What share/sanjab-gdb.py shows of a program that runs, and of a core file.

BUILD is the build folder. Skipped where there is no gdb, and the core file where the kernel does
not leave it in the working directory.
"""
import os
import pathlib
import re
import resource
import shutil
import subprocess
import tempfile

import tap

BUILD = pathlib.Path(os.environ['BUILD']).resolve()
SCRIPT = pathlib.Path(__file__).resolve().parent.parent / 'share' / 'sanjab-gdb.py'
PROGRAM = BUILD / 'tests' / 'gdb_program'
RUN_TIME = 90
LIST = r'''^\* 1 +thread 1  "main_fiber" \(.*gdb_program.c:\d+\): running
  2 +thread 1    "parent" \(.*gdb_program.c:\d+\): waits for scope
  3 +thread 1      "receiver" \(.*gdb_program.c:\d+\): waits for receive from a chan
  4 +thread 1    "sleeper" \(.*gdb_program.c:\d+\): waits for sleep
  5 +thread 1    "returns_at_once" \(.*gdb_program.c:\d+\): ended with 5
  6 +thread 1    "returns_at_once" \(.*gdb_program.c:\d+\): not begun
6 fibers$'''
CALLS = r'''^#1 .*
(?:.*\n)*?#\d+ .* sj_chan_recv \(.*
(?:#\d+ .* receive_at \(.*
){4}#\d+ .* receiver \(.*
(?:.*\n)*?#\d+ .* context_trampoline \(.*'''


def gdb(*commands, first=(), arguments=()):
    if not shutil.which('gdb'):
        raise tap.Skip('gdb is not installed')
    command = ['gdb', '-nx', '-q', '-batch']
    for line in ('set width 0', *first, f'source {SCRIPT}', *commands):
        command += ['-ex', line]
    done = subprocess.run([*command, str(PROGRAM), *arguments], text=True, timeout=RUN_TIME,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, env=dict(os.environ, DEBUGINFOD_URLS=''))
    if 'Could not trace' in done.stdout or 'ptrace: Operation not permitted' in done.stdout:
        raise tap.Skip('nothing may be traced here')
    return done.stdout


def live(*commands):
    said = gdb('run', *commands)
    assert 'SIGABRT' in said, said
    return said.split('SIGABRT', 1)[1]


def expect(pattern, said):
    assert re.search(pattern, said, re.M), f'not found:\n{pattern}\nin:\n{said}'


def test_all_fibers_are_listed_as_a_tree():
    expect(LIST, live('info fibers'))


def test_the_calls_of_one_that_waits_go_to_its_beginning():
    expect(CALLS, live('fiber 3 bt'))


def test_any_command_runs_in_its_frames():
    said = live('fiber 4 frame function sleep_with', 'fiber 4 bt -frame-arguments all')
    expect(r'^#\d+ .* sleep_with \(answer=', said)
    expect(r'^#\d+ .* sleeper \(', said)


def test_the_one_that_runs_is_shown_from_where_it_is():
    expect(r'^#\d+ .* main_fiber \(', live('fiber 1 bt'))


def test_the_program_is_as_before_and_runs_on():
    said = live('fiber 3 bt', 'echo then\\n', 'bt', 'echo lastly\\n', 'signal 0', 'kill')
    after = said.split('then\n', 1)[1].split('lastly')[0]
    expect(r'^#0 ', after)
    expect(r' main_fiber \(', after)
    assert 'receive_at' not in after, after


def test_what_has_no_calls_is_refused():
    said = live('fiber 5 bt', 'fiber 9 bt', 'fiber x')
    expect('Fiber 5 has no calls: ended with 5', said)


def test_a_number_that_there_is_not_is_refused():
    expect('There is no fiber 9; see: info fibers', live('fiber 9 bt'))


def test_without_a_program_it_says_so():
    expect('There is no program that runs, and no core file', gdb('info fibers'))


def test_a_core_file_shows_the_same():
    if not shutil.which('gdb'):
        raise tap.Skip('gdb is not installed')
    pattern = pathlib.Path('/proc/sys/kernel/core_pattern').read_text().strip()
    if pattern != 'core':
        raise tap.Skip(f'the kernel gives core files to {pattern}')
    most = resource.getrlimit(resource.RLIMIT_CORE)[1]
    if most == 0:
        raise tap.Skip('core files are not allowed here')
    with tempfile.TemporaryDirectory(prefix='sanjab-gdb-') as place:
        subprocess.run([str(PROGRAM)], cwd=place, timeout=RUN_TIME, check=False,
                       preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_CORE, (most, most)))
        cores = list(pathlib.Path(place).glob('core*'))
        assert len(cores) == 1, cores
        said = gdb('info fibers', 'fiber 3 bt', arguments=[str(cores[0])])
    expect(LIST, said)
    expect(CALLS, said)


tap.run(globals())
