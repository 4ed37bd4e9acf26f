#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""What the installed library shows to its user.

BUILD is the build folder. With PREFIX, the library has been installed there already, and that
installation is checked; else this installs one of its own.
"""
import os
import pathlib
import re
import shlex
import subprocess
import tempfile

import tap

BUILD = pathlib.Path(os.environ['BUILD'])
CC = shlex.split(os.environ.get('CC', 'cc'))
HEADERS = pathlib.Path(__file__).parent.parent / 'include' / 'sanjab'
SCRATCH = tempfile.TemporaryDirectory(prefix='sanjab-library-')

# It has functions named as some inside the library are.
PROGRAM = r'''
#include <sanjab/base.h>
#include <stdio.h>
int buf_append(int a, int b) { return a + b; }
int arena_grow(void) { return 40; }
int main(void)
{
        sj_arena *arena;
        if (sj_arena_new(&arena) < 0 || !sj_arena_alloc(arena, 100000))
                return 1;
        sj_arena_free(arena);
        printf("%s %d\n", sj_strerror(-ETIMEDOUT), buf_append(2, arena_grow()));
}
'''


def output(*command, **more):
    return subprocess.run(list(map(str, command)), check=True, text=True, stdout=subprocess.PIPE,
                          stdin=subprocess.DEVNULL, **more).stdout


def installation():
    """The folder of sanjab.pc in an installation, made at the first call."""
    prefix = os.environ.get('PREFIX')
    if not prefix:
        prefix = pathlib.Path(SCRATCH.name) / 'root'
        if not prefix.exists():
            output('meson', 'install', '-C', BUILD, '--no-rebuild', '--destdir', prefix)
    found = list(pathlib.Path(prefix).rglob('sanjab.pc'))
    assert len(found) == 1, found
    return found[0].parent


def exported(*command):
    """The symbols that nm lists, but for the version's own name."""
    symbols = {line.split()[0].partition('@')[0] for line in
               output('nm', '-P', '-g', '--defined-only', *command).splitlines()
               if len(line.split()) > 1}
    return {symbol for symbol in symbols if symbol and symbol != 'SANJAB_0'}


def declared():
    """The functions and variables that the public headers declare as public."""
    names = set()
    for header in HEADERS.glob('*.h'):
        text = re.sub(r'/\*.*?\*/', ' ', header.read_text(), flags=re.S)
        text = re.sub(r'^\s*#.*?(?<!\\)$', ' ', text, flags=re.S | re.M)
        for declaration in re.findall(r'SJ_PUBLIC\b([^;{]*)', text):
            names.add(re.search(r'\b(sj_\w+)\s*(?:\(|\[|$)', declaration.strip()).group(1))
    return names


def build_and_run(package, *flags):
    source = pathlib.Path(SCRATCH.name) / 'program.c'
    program = source.with_suffix('')
    source.write_text(PROGRAM)
    env = dict(os.environ, PKG_CONFIG_PATH=str(installation()))
    options = shlex.split(output('pkg-config', '--cflags', '--libs', package, env=env))
    output(*CC, '-Wall', '-Wextra', '-Wpedantic', '-Werror', source, '-o', program, *options,
           *flags)
    assert output(program) == 'timed out 42\n'
    return output('ldd', program)


def test_shared_library_exports_sj_names_only():
    names = exported('-D', BUILD / 'libsanjab.so')
    assert names and all(name.startswith('sj_') for name in names), names


def test_static_library_exports_sj_names_only():
    names = exported(BUILD / 'libsanjab.a')
    assert names and all(name.startswith('sj_') for name in names), names


def test_both_libraries_export_the_same():
    assert exported('-D', BUILD / 'libsanjab.so') == exported(BUILD / 'libsanjab.a')


def test_all_that_is_exported_is_declared():
    extra = exported('-D', BUILD / 'libsanjab.so') - declared()
    assert not extra, extra


def test_all_that_is_declared_is_exported():
    missing = declared() - exported('-D', BUILD / 'libsanjab.so')
    assert declared() and not missing, missing


def test_shared_library_has_a_versioned_name():
    assert re.search(r'SONAME.*\[libsanjab\.so\.0\]', output('readelf', '-d',
                                                             BUILD / 'libsanjab.so'))


def test_a_program_links_the_shared_library_by_pkg_config():
    libraries = build_and_run('sanjab', f'-Wl,-rpath,{installation().parent}')
    assert 'libsanjab.so.0' in libraries, libraries


def test_a_program_links_the_static_library_by_pkg_config():
    libraries = build_and_run('sanjab-static')
    assert 'libsanjab' not in libraries, libraries


tap.run(globals())
