#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""The tree's own tools refuse what they are there to refuse."""
import contextlib
import io
import os
import pathlib
import shlex
import stat
import subprocess
import sys
import tempfile
from importlib.machinery import SourceFileLoader

import tap

ROOT = pathlib.Path(__file__).resolve().parent.parent
SCRIPTS = ROOT / 'scripts'
CC = shlex.split(os.environ.get('CC', 'cc'))
LICENCE = '/* SPDX-License-Identifier: MIT */\n'


def run(*command, **more):
    """(status, what it printed)"""
    done = subprocess.run(list(map(str, command)), text=True, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, **more)
    return done.returncode, done.stdout


def write(path, text, executable=False):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    if executable:
        path.chmod(path.stat().st_mode | stat.S_IXUSR)


class Folder(tempfile.TemporaryDirectory):
    def __enter__(self):
        return pathlib.Path(super().__enter__())


# ---- refresh-linker

LDCONFIG = '''#!/bin/sh
[ $# -gt 0 ] || { echo made >>"$0.log"; exit 0; }
echo "$(dirname "$0")/lib: (from /etc/ld.so.conf:1)"
echo "	libx.so.1 -> libx.so.1.0"
'''


def test_the_linkers_cache_is_made_where_it_looks_there_and_nowhere_else():
    if os.getuid() != 0:
        raise tap.Skip('only root makes it')
    with Folder() as place:
        write(place / 'ldconfig', LDCONFIG, executable=True)
        (place / 'lib').mkdir()
        (place / 'other').mkdir()
        env = {**os.environ, 'PATH': f'{place}:{os.environ["PATH"]}'}
        log = place / 'ldconfig.log'
        for folder, times in (('other', 0), ('none', 0), ('lib', 1)):
            status, said = run(SCRIPTS / 'refresh-linker', place / folder, env=env)
            assert status == 0, said
            assert (log.read_text().count('made') if log.exists() else 0) == times, said


# ---- run-tests

CMOCKA = '''
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>
#include <cmocka.h>
static void good(void **s) { (void)s; }
static void bad(void **s) { (void)s; assert_true(0); }
static void skipped(void **s) { (void)s; skip(); }
static void aborts(void **s) { (void)s; abort(); }
static void leaves(void **s) { (void)s; _exit(0); }
int main(void)
{
        (void)good; (void)bad; (void)skipped; (void)aborts; (void)leaves;
        const struct CMUnitTest tests[] = { CASES };
        return cmocka_run_group_tests(tests, NULL, NULL) + AFTER;
}
'''


def ends_with(programs, status_wanted, last_line_wanted):
    """Runs a project with these {name: cases, or a shell script}."""
    with Folder() as folder:
        build = "project('t', 'c')\ncmocka = dependency('cmocka')\n"
        for name, cases in programs.items():
            if cases.startswith('#!'):
                write(folder / name, cases, executable=True)
                build += f"test('{name}', find_program('{name}'))\n"
            else:
                after = '1' if cases.endswith('!') else '0'
                cases = ', '.join(f'cmocka_unit_test({c})' for c in cases.rstrip('!').split())
                write(folder / f'{name}.c',
                      CMOCKA.replace('CASES', cases).replace('AFTER', after))
                build += f"test('{name}', executable('{name}', '{name}.c', dependencies: cmocka))\n"
        write(folder / 'meson.build', build)
        status, text = run('meson', 'setup', folder / 'built', folder)
        assert status == 0, text
        status, text = run('ninja', '-C', folder / 'built')
        assert status == 0 or not programs, text
        status, text = run(SCRIPTS / 'run-tests', folder / 'built', '--no-rebuild')
        assert (status, text.splitlines()[-1]) == (status_wanted, last_line_wanted), text


def test_run_tests_counts_the_cases_inside_programs():
    ends_with({'a': 'good good good', 'b': 'good', 'script': '#!/bin/sh\nexit 0\n'},
              0, '5 passed, 0 failed')


def test_run_tests_counts_a_failed_case_and_a_skipped_one():
    ends_with({'a': 'good bad good', 'b': 'good skipped'}, 1, '3 passed, 1 failed, 1 skipped')


def test_run_tests_counts_what_a_crash_kept_from_running_as_failed():
    ends_with({'a': 'good aborts good', 'b': 'good'}, 1, '2 passed, 2 failed')


def test_run_tests_is_not_fooled_by_a_program_that_leaves_early_with_status_0():
    ends_with({'a': 'good leaves good'}, 1, '1 passed, 2 failed')


def test_run_tests_counts_an_error_after_good_cases_as_failed():
    ends_with({'a': 'good good!', 'script': '#!/bin/sh\nkill -9 $$\n'}, 1, '2 passed, 2 failed')


def test_run_tests_fails_when_nothing_ran():
    ends_with({}, 1, '0 passed, 0 failed')


# ---- check-layers

def layers(files):
    """check-layers' status and text for a tree of sound files and these."""
    with Folder() as folder:
        run('git', 'init', '-q', folder)
        sound = {
            'src/meson.build': "# SPDX-License-Identifier: MIT\n"
                               "room_order = ['base', 'loop',\n  'fiber']\n",
            'include/sanjab/base.h': LICENCE + '#include <stddef.h>\n',
            'include/sanjab/fiber.h': LICENCE + '#include <sanjab/base.h>\n',
            'src/base/buf.h': LICENCE + '#include <sanjab/base.h>\n',
            'src/fiber/fiber.c': LICENCE + '#include <sanjab/fiber.h>\n#include "base/buf.h"\n',
            'examples/one.c': LICENCE + '#include <sanjab/fiber.h>\n',
        }
        for name, text in {**sound, **files}.items():
            write(folder / name, text)
        return run(SCRIPTS / 'check-layers', folder)


def refused_by_layers(name, text, complaint):
    status, out = layers({name: text})
    assert status == 1 and complaint in out, out


def test_check_layers_accepts_a_sound_tree():
    status, out = layers({})
    assert status == 0, out


def test_check_layers_refuses_an_upward_include():
    refused_by_layers('src/base/x.c', LICENCE + '#include "fiber/fiber.h"\n',
                      "src/base/x.c:2: 'base' must not use 'fiber'")


def test_check_layers_refuses_an_upward_include_through_a_public_header():
    refused_by_layers('src/loop/x.c', LICENCE + '\n#  include <sanjab/fiber.h>\n',
                      "src/loop/x.c:3: 'loop' must not use 'fiber'")


def test_check_layers_refuses_an_include_without_its_room():
    refused_by_layers('src/base/x.c', LICENCE + '#include "buf.h"\n', '"base/buf.h"')


def test_check_layers_refuses_an_inner_header_in_an_example():
    refused_by_layers('examples/x.c', LICENCE + '#include "base/buf.h"\n', 'is not public')
    refused_by_layers('apps/y/x.c', LICENCE + '#include "../../src/base/buf.h"\n',
                      'is not public')


def test_check_layers_refuses_an_inner_header_in_a_public_one():
    refused_by_layers('include/sanjab/x.h', LICENCE + '#include "base/buf.h"\n', 'is not public')


def test_check_layers_refuses_a_file_without_a_licence():
    refused_by_layers('src/base/x.c', '\n' + LICENCE, 'first line')
    refused_by_layers('scripts/x', '#!/bin/sh\necho\n', 'first line')


# ---- check-seam

def seam(room, code, rooms=('base', 'os', 'loop'), source_name=None):
    with Folder() as folder:
        order = ', '.join(f"'{name}'" for name in rooms)
        write(folder / 'src/meson.build', f'room_order = [{order}]\n')
        for name in rooms:
            write(folder / 'src' / name / 'meson.build', '')
            source = folder / f'{name}.c'
            write(source, f'void abort(void);\nvoid {name}_thing(void) {{ abort(); }}\n')
            if name == room:
                write(source, code)
            stem = source_name if name == room and source_name else name
            obj = folder / f'{stem}.c.o'
            status, out = run(*CC, '-D_GNU_SOURCE', '-c', source, '-o', obj)
            assert status == 0, out
            library = folder / 'build/src' / name / f'libsanjab-{name}.a'
            library.parent.mkdir(parents=True)
            run('ar', 'rcs', library, obj)
        return run(SCRIPTS / 'check-seam', folder / 'build', folder)


def test_check_seam_accepts_pure_calls_and_rooms_above():
    status, out = seam('loop', '#include <string.h>\nvoid os_thing(void);\n'
                               'size_t f(char *a) { os_thing(); return strlen(a); }\n')
    assert status == 0, out


def test_check_seam_refuses_each_way_to_the_system():
    for call in ('clock_gettime(0, 0)', 'time(0)', 'read(0, 0, 0)', 'write(0, 0, 0)',
                 'recv(0, 0, 0, 0)', 'send(0, 0, 0, 0)', 'socket(0, 0, 0)', 'open("", 0)',
                 'epoll_wait(0, 0, 0, 0)', 'rand()', 'random()', 'getrandom(0, 0, 0)',
                 'getaddrinfo(0, 0, 0, 0)', 'nanosleep(0, 0)', 'usleep(1)', 'fork()',
                 'execv(0, 0)', 'pthread_create(0, 0, 0, 0)', 'mmap(0, 0, 0, 0, 0, 0)',
                 'fopen("", "")', 'puts("")', 'getpid()', 'getenv("")', 'signal(1, 0)'):
        name = call.partition('(')[0]
        status, out = seam('loop', f'long {name}();\nlong f(void) {{ return {call}; }}\n')
        assert status == 1 and f'uses {name},' in out, out


def test_check_seam_lets_os_call_the_system():
    status, out = seam('os', '#include <unistd.h>\nint f(void) { return getpid(); }\n')
    assert status == 0, out


def test_check_seam_lets_a_file_do_what_it_has_a_reason_for_and_no_other():
    code = 'char *getenv(const char *);\nchar *f(void) { return getenv("PATH"); }\n'
    rooms = ('base', 'os', 'fiber')
    status, out = seam('fiber', code, rooms, source_name='child')
    assert status == 0, out
    status, out = seam('fiber', code, rooms, source_name='other')
    assert status == 1 and 'src/fiber/other.c uses getenv' in out, out


def test_check_seam_refuses_a_call_upwards():
    status, out = seam('base', 'void loop_thing(void);\nvoid f(void) { loop_thing(); }\n')
    assert status == 1 and "made by 'loop'" in out, out


def test_check_seam_refuses_a_build_that_is_not_there():
    with Folder() as folder:
        status, out = run(SCRIPTS / 'check-seam', folder)
        assert status == 1 and 'build it first' in out, out


# ---- bootstrap

def bootstrap(*groups, installed, user='0', sudo=False):
    """(status, what it printed, what apt-get was asked) on a machine with these packages."""
    with Folder() as folder:
        log = folder / 'log'
        stubs = {
            'dpkg-query': 'for p in $INSTALLED; do echo "installed $p"; done',
            'apt-get': f'echo "$@" >>{log}',
            'id': f'echo {user}',
            'sleep': ':',
        }
        if sudo:
            stubs['sudo'] = f'echo "sudo $1" >>{log}; shift; "$@"'
        for name, body in stubs.items():
            write(folder / 'bin' / name, f'#!/bin/sh\n{body}\n', executable=True)
        for tool in ('env', 'sed', 'tr', 'sh'):
            (folder / 'bin' / tool).symlink_to(f'/usr/bin/{tool}')
        status, out = run('/bin/sh', SCRIPTS / 'bootstrap', *groups,
                          env={'PATH': str(folder / 'bin'), 'INSTALLED': installed})
        return status, out, log.read_text() if log.exists() else ''


BENCH = ('g++ libboost-context-dev golang-go libjansson-dev libuv1-dev python3 python3-uvloop '
         'python3-celery python3-redis '
         'redis-server')


def test_bootstrap_does_and_says_nothing_when_nothing_is_missing():
    assert bootstrap('bench', installed=BENCH) == (0, '', '')


def test_bootstrap_says_and_installs_only_what_is_missing():
    status, out, asked = bootstrap('bench', installed=BENCH.replace('golang-go ', ''))
    assert status == 0 and out.startswith('bootstrap: will install'), out
    assert out.splitlines()[0].endswith(': golang-go'), out
    assert asked.splitlines()[-1].endswith('install -y --no-install-recommends golang-go'), asked


def test_bootstrap_asks_sudo_when_it_is_not_root():
    status, out, asked = bootstrap('bench', installed='g++', user='1000', sudo=True)
    assert status == 0 and 'sudo' in asked, (out, asked)


def test_bootstrap_says_what_to_do_when_it_can_not_install():
    status, out, asked = bootstrap('bench', installed='g++', user='1000')
    assert status == 1 and 'as root, run:' in out and not asked, out


def test_bootstrap_refuses_a_group_that_it_does_not_know():
    status, out, _ = bootstrap('nonsense', installed='')
    assert status == 2 and 'nonsense' in out, out


# ---- bench/run

sys.dont_write_bytecode = True
BENCH_RUN = SourceFileLoader('bench_run', str(ROOT / 'bench' / 'run')).load_module()


def measured(ours, peers, **more):
    """The comparisons of a case whose programs print these."""
    case = BENCH_RUN.Case('ns', ['printf', ours], one_cpu=False, peers=[
        BENCH_RUN.Peer(name, command, needs='nothing') for name, command in peers], **more)
    with contextlib.redirect_stderr(io.StringIO()) as said:
        return list(BENCH_RUN.measure('it', case, 3, {})), said.getvalue()


def test_bench_takes_medians_and_a_ratio_above_1_means_ours_is_better():
    (result,), _ = measured('10\n1\n900\n', [('p', ['printf', '20'])])
    assert result == {'case': 'it', 'unit': 'ns', 'ours': 10, 'peer': 'p', 'theirs': 20,
                      'ratio': 2, 'spread': 0}, result
    (result,), _ = measured('10', [('p', ['printf', '20'])], more_is_better=True)
    assert result['ratio'] == 0.5, result


def test_bench_says_and_skips_a_peer_that_is_not_installed():
    (result,), said = measured('10', [('p', ['/nowhere/to/be/found'])])
    assert result['peer'] is result['theirs'] is result['ratio'] is None, result
    assert result['ours'] == 10 and 'p is not here (nothing); skipped' in said, said


def test_bench_spread_is_half_the_quartiles_distance_by_the_median():
    assert BENCH_RUN.spread_of([8, 9, 10, 11, 12]) == 0.1
    assert BENCH_RUN.spread_of([8]) is None


def test_bench_shows_the_processor_time_of_those_who_tell_it():
    (result,), _ = measured('10 1 4\n20 2 6\n', [('p', ['printf', '20 3 3'])])
    assert result['ours'] == 15 and result['cpu'] == [[1.5, 5], [3, 3]], result
    (result,), _ = measured('10 1 4', [('p', ['printf', '20'])])
    assert 'cpu' not in result, result
    assert BENCH_RUN.row({**result, 'cpu': [[1, 2], [3, 4]]})[-2:] == ['1.00 + 2.00', '3.00 + 4.00']


def test_bench_fails_when_a_program_of_ours_does():
    try:
        measured('not a number', [])
        raise AssertionError('accepted')
    except ValueError:
        pass


tap.run(globals())
