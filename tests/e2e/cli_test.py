#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""The sanjab command before any queue: its help, its refusals, and what -A takes."""
import json
import os
import pathlib
import pty
import re
import shutil
import signal
import subprocess

from program import BUILD, ROOT, SANJAB, Place, eventually, needs_no_sanitizer

import tap

COMMANDS = ['worker', 'call', 'result', 'status', 'inspect', 'control', 'events', 'dead', 'purge',
            'conf']
TASKS = '''
#include <sanjab/queue.h>
SJ_TASK(multiply, int64_t, (int64_t, a), (int64_t, b)) { *ret = a * b; return 0; }
'''


def run(*args, **more):
    with Place('memory:') as place:
        return place.run(*args, **more)


# ---- help

def test_help_of_the_program_and_of_each_command_is_shown_on_the_output():
    for ask in (['--help'], ['-h'], ['help']):
        text = run(*ask).expect(0).out
        for name in COMMANDS:
            assert re.search(rf'^  {name} ', text, re.M), text
    for name in COMMANDS:
        text = run(name, '--help').expect(0, f'usage: sanjab {name}').out
        assert text == run('help', name).expect(0).out == run(name, '-h').expect(0).out
        assert max(map(len, text.splitlines())) <= 80, text


def test_version_is_one_line():
    assert re.fullmatch(r'sanjab \d+\.\d+\.\d+\n', run('--version').expect(0).out)


def options_of_help(name):
    text = run(name, '--help').out
    return set(re.findall(r'^  (?:-\w, |    )(--[a-z-]+)', text, re.M))


def test_manual_page_says_the_options_that_help_says():
    for name in COMMANDS:
        page = (ROOT / 'docs' / 'man' / f'sanjab-{name}.1').read_text()
        said = {'--' + option for option in re.findall(r'^\.It (?:Fl \w , )?Fl -([a-z-]+)', page,
                                                       re.M)}
        assert said == options_of_help(name), f'{name}: {said ^ options_of_help(name)}'


def test_manual_page_says_the_commands_and_statuses():
    page = (ROOT / 'docs' / 'man' / 'sanjab.1').read_text()
    assert set(re.findall(r'^\.It Cm (\w+)', page, re.M)) == set(COMMANDS) | {'help'}
    statuses = re.findall(r'^  (\d)  ', run('--help').out, re.M)
    assert re.findall(r'^\.It (\d)$', page, re.M) == statuses


def test_manual_page_of_the_squirrel_says_its_options():
    text = (ROOT / 'apps' / 'squirrel' / 'main.c').read_text()
    page = (ROOT / 'docs' / 'man' / 'squirrel.1').read_text()
    said = {'--' + option for option in re.findall(r'^\.It Fl -([a-z-]+)', page, re.M)}
    assert said == set(re.findall(r'^ +"  (--[a-z]+)', text, re.M)), said


def test_manual_pages_are_written_without_a_warning():
    pages = [*(ROOT / 'docs' / 'man').glob('*.[15]'), *(BUILD / 'docs').glob('*.3')]
    assert len(pages) > 20, pages
    if not shutil.which('groff'):
        raise tap.Skip('groff is not installed')
    for page in pages:
        done = subprocess.run(['groff', '-mandoc', '-Tutf8', '-ww', '-z', page], text=True,
                              stderr=subprocess.PIPE)
        assert (done.returncode, done.stderr) == (0, ''), done.stderr


def test_every_public_function_is_in_the_manual():
    pages = ''.join(page.read_text() for page in (BUILD / 'docs').glob('*.3'))
    for header in (ROOT / 'include' / 'sanjab').glob('*.h'):
        if header.name == 'task_macros.h':  # for the macros of task.h alone
            continue
        for name in re.findall(r'SJ_PUBLIC [^;{]*?\b(sj_\w+)\(', header.read_text()):
            assert re.search(rf'\b{name}\(', pages), f'{name} of {header.name}'


def test_completion_offers_the_options_that_help_says():
    script = ROOT / 'completions' / 'sanjab.bash'
    words = {}
    for name in ['', *COMMANDS]:
        typed = ['sanjab', name, '--'] if name else ['sanjab', '']
        ask = ('source "$0"; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _sanjab; '
               'printf "%s\\n" "${COMPREPLY[@]}"')
        done = subprocess.run(['bash', '-c', ask, script, *typed], text=True, stdout=subprocess.PIPE, check=True)
        words[name] = set(done.stdout.split())
    assert set(COMMANDS) <= words[''], words['']
    for name in COMMANDS:
        assert words[name] == options_of_help(name), (name, words[name] ^ options_of_help(name))


def test_manual_page_of_the_settings_has_each_with_its_default():
    page = (ROOT / 'docs' / 'man' / 'sanjab.conf.5').read_text()
    with Place() as place:
        conf = json.loads(place.run('conf', '--json').expect(0).out)
    shown = re.findall(r'^\.It Li (\w+) No .*?(?: Pq (\S+))?$', page, re.M)
    assert [name for name, _ in shown] == list(conf), set(conf) ^ {name for name, _ in shown}
    for name, default in shown:
        value = conf[name]['value']
        value = {None: 'none', True: 'true', False: 'false', '': 'none'}.get(value, value) \
            if not isinstance(value, (dict, float)) else value
        value = f'{value:g}' if isinstance(value, float) else value
        assert value in ({}, default or 'none'), (name, default, value)


# ---- settings

def test_a_setting_counts_from_the_command_line_the_environment_the_file_in_this_order():
    with Place() as place:
        place.env.pop('SANJAB_BROKER_URL', None)
        place.write('sanjab.conf', 'broker_url = redis://:pass@word@file/0\n')
        assert 'pass' not in place.run('conf').expect(0, 'redis://***@file/0', 'sanjab.conf:1').out
        place.env['SANJAB_BROKER_URL'] = 'sqlite:env.db'
        assert place.run('conf', 'broker_url').expect(0).out == 'sqlite:env.db\n'
        place.run('conf', '-b', 'sqlite:given.db').expect(0, 'sqlite:given.db', '--broker')
        place.run('conf', 'broker_ulr').expect(5, "did you mean 'broker_url'?")
        place.run('conf', 'worker_state_db').expect(5, 'kept in the broker')


def test_what_is_wrong_in_the_settings_is_told_whole_and_nothing_is_done():
    with Place() as place:
        place.write('own.conf', 'worker_poll = solo\n\nresult_expires = soon\n')
        told = place.run('call', 'x', '--config', 'own.conf').expect(2).err
        assert "own.conf:1: there is no setting 'worker_poll': did you mean 'worker_pool'?" in told
        assert 'own.conf:3: result_expires is a number of seconds' in told
        place.run('status', '--config', 'absent.conf').expect(2, 'absent.conf: ')


# ---- mistakes

def test_a_mistyped_command_or_option_is_answered_with_what_was_meant():
    run('wroker').expect(2, "did you mean 'worker'?")
    run('xyzzy').expect(2, "there is no command 'xyzzy'", 'sanjab --help')
    run('call', 'a', '--agrs=[]').expect(2, 'did you mean --args?')
    run('call', 'a', '--xyzzy').expect(2, 'sanjab call --help')
    run('dead', 'lst').expect(2, "did you mean 'list'?")
    run('--broker', 'memory:').expect(2, 'no option --broker')
    run().expect(2, 'usage:')


def test_each_wrong_value_has_a_sentence():
    for args, *texts in [
        (['worker'], 'which tasks?'),
        (['worker', '-A', 'x.c', 'y.c'], "does not take 'y.c'"),
        (['worker', '-A', 'x.c', '-P', 'green'], 'prefork, threads, fibers or solo'),
        (['worker', '-A', 'x.c', '-c', '0'], 'a number from 1 to'),
        (['worker', '-A', 'x.c', '-c', 'many'], 'a number from 1 to'),
        (['worker', '-A', 'x.c', '-Q', 'a,,b'], 'names with commas'),
        (['worker', '-A', 'x.c', '-n', 'a b'], 'the node name'),
        (['worker', '-A', 'x.c', '-n', 'a@%z'], 'the node name'),
        (['worker', '-A', 'x.c', '-l', 'loud'], 'debug, info, warning, error or critical'),
        (['worker', '-A'], '--app needs a value'),
        (['call'], 'which task?'),
        (['call', 'a', 'b'], 'one task'),
        (['call', ''], 'cannot be called'),
        (['call', 'a' * 300], 'cannot be called'),
        (['call', 'a', '--args', '[2,'], 'is not JSON', 'line 1, column 4'),
        (['call', 'a', '--args', '{}'], 'a JSON array', 'an object'),
        (['call', 'a', '--kwargs', '[]'], 'a JSON object', 'an array'),
        (['call', 'a', '--args', '[' * 10000 + ']' * 10000], 'is not JSON'),
        (['call', 'a', '--countdown', 'soon'], 'a number of seconds'),
        (['call', 'a', '--expires', '-1'], 'a number of seconds'),
        (['result'], 'which task?'),
        (['dead', 'retry'], 'needs to know which'),
        (['dead', 'drop', 'x', '--all'], 'either ids or --all'),
        (['status', 'now'], "does not take 'now'"),
        (['purge', 'celery'], '--queues'),
        (['status', '-b', 'nonsense:'], "'nonsense'"),
        (['status', '-b', ''], '--broker is empty'),
    ]:
        run(*args).expect(2, 'sanjab: ', *texts)


def test_a_mistake_in_the_arguments_of_a_call_makes_no_broker():
    with Place() as place:
        place.run('call', 'a', '--args', '[2,').expect(2)
        assert list((place.path / 'work').iterdir()) == []


def test_what_is_not_there_has_a_status_of_its_own():
    run('result', 'no-such-id').expect(5, 'knows no task no-such-id')
    run('dead', 'retry', 'no-such-id').expect(5, '1 of the 1')


def test_json_is_json_even_when_there_is_nothing():
    status = run('status', '--json').expect(0).json()
    assert status == {'broker': 'memory:', 'queues': [], 'workers': []}
    assert run('dead', '--json').expect(0).json() == []
    assert run('purge', '--yes', '--json').expect(0).json() == {'removed': 0, 'awaited': 0}
    assert set(run('call', 'a', '--json').expect(0).json()) == {'id'}


def test_a_broker_that_ends_with_the_command_is_warned_of():
    run('call', 'a').expect(0, 'seen by this process alone')


def test_an_output_that_cannot_be_written_is_an_error():
    with Place('memory:') as place, open('/dev/full', 'w') as full:
        done = subprocess.run([SANJAB, 'status'], env=place.env, stdout=full, text=True,
                              stderr=subprocess.PIPE)
        assert done.returncode == 4 and 'cannot write the output' in done.stderr, done


def test_an_option_of_celerys_that_there_is_not_has_a_reason():
    for options, why in ((['-Ofair'], 'always handed out as by -O fair'),
                         (['--without-gossip'], 'no gossip'), (['-B'], 'celery beat'),
                         (['--logfile=x'], 'the error output'), (['-ED'], 'service manager')):
        run('worker', '-A', 'tasks.c', *options).expect(2, 'has no option', why)
    run('worker', '--nonsense').expect(2, 'see sanjab worker --help')


def test_a_secret_in_a_broker_is_not_shown():
    done = run('status', '-b', 'redis://me:hunter2@localhost/0')
    assert done.status != 0 and 'hunter2' not in done.out + done.err, done.shown


# ---- a terminal

def on_a_terminal(place, answer, *args, **env):
    """(status, what was shown) of a command on a terminal, which answers a question."""
    try:
        pid, fd = pty.fork()
    except OSError as error:
        raise tap.Skip(f'there is no terminal to be had: {error}')
    if pid == 0:
        os.chdir(place.path / 'work')
        os.execve(SANJAB, [str(SANJAB), *args], {**place.env, 'TERM': 'xterm', **env})
    shown = b''
    try:
        while True:
            piece = os.read(fd, 4096)
            shown += piece
            if not piece:
                break
            if answer and b'[y/N]' in shown:
                os.write(fd, answer)
                answer = None
    except OSError:
        pass  # the terminal's other end is closed
    os.close(fd)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), shown.decode()


def test_colours_are_for_a_terminal_that_wants_them():
    with Place('memory:') as place:
        assert '\033[' in on_a_terminal(place, None, 'wroker')[1]
        assert '\033[' not in on_a_terminal(place, None, 'wroker', NO_COLOR='1')[1]
        assert '\033[' not in on_a_terminal(place, None, 'wroker', TERM='dumb')[1]
        assert '\033[' not in place.run('wroker').err


def test_purge_asks_on_a_terminal_and_refuses_elsewhere():
    with Place('memory:') as place:
        status, shown = on_a_terminal(place, b'y\n', 'purge')
        assert status == 0 and 'removed 0 tasks' in shown, shown
        status, shown = on_a_terminal(place, b'n\n', 'purge')
        assert status == 1 and 'nothing was removed' in shown, shown
        place.run('purge').expect(2, '--yes')


# ---- what -A takes

def refused(place, name, *texts, **env):
    """A worker that must end with 2 and these sentences, in both kinds of pool."""
    for pool in ('prefork', 'solo'):
        done = place.run('worker', '-A', name, '-P', pool, **env).expect(2, *texts)
        assert done.err.rstrip('\n').splitlines()[-1].startswith('sanjab: '), done.shown


def test_tasks_that_are_not_there_or_none_are_refused():
    with Place('memory:') as place:
        refused(place, 'missing.c', 'missing.c')
        place.write('tasks.txt', TASKS)
        refused(place, 'tasks.txt', 'a .c file, a .so file, or a folder')
        place.write('empty/README', '')
        refused(place, 'empty', 'no .c file')
        place.write('none.c', 'int nothing;\n')
        refused(place, 'none.c', 'defines no task')


def test_tasks_that_do_not_compile_are_answered_with_what_the_compiler_says():
    with Place('memory:') as place:
        place.write('broken.c', 'int x = ;\n')
        refused(place, 'broken.c', 'broken.c:1:', 'error:', 'do not compile')
        place.write('lost.c', '#include "nowhere.h"\n')
        refused(place, 'lost.c', 'nowhere.h', 'do not compile')


def test_a_name_that_is_defined_twice_is_said_with_both_places():
    twice = ('#include <sanjab/queue.h>\n'
             'SJ_TASK({0}, void) {{ return 0; }}\nSJ_TASK_OPTIONS({0}, .name = "same");\n')
    with Place('memory:') as place:
        place.write('twice/a.c', twice.format('one'))
        place.write('twice/b.c', twice.format('two'))
        refused(place, 'twice', "'same' is defined twice", 'a.c:2', 'b.c:2')


def test_a_shared_object_that_does_not_load_is_refused():
    with Place('memory:') as place:
        place.write('bad.so', 'this is no object\n')
        refused(place, 'bad.so', 'cannot be loaded')
        place.write('undefined.c', '#include <sanjab/queue.h>\nvoid missing(void);\n'
                                   'SJ_TASK(one, void) { missing(); return 0; }\n')
        refused(place, 'undefined.c', 'cannot be loaded', 'missing')


def test_tasks_that_others_may_write_are_refused():
    with Place('memory:') as place:
        for mode in (0o664, 0o646):
            path = place.write('tasks.c', TASKS, mode)
            refused(place, 'tasks.c', 'others may write the file', 'chmod go-w')
        path.chmod(0o644)
        path.parent.chmod(0o775)
        refused(place, 'tasks.c', 'others may write the folder')
        path.parent.chmod(0o1777)  # nobody could replace it there, but put a header beside it
        refused(place, 'tasks.c', 'others may write the folder')
        path.parent.chmod(0o755)
        place.write('inner/tasks.c', TASKS)
        (place.path / 'work' / 'inner').chmod(0o757)
        refused(place, 'inner', 'others may write the folder')
        place.write('objects/tasks.so', '', 0o666)
        refused(place, 'objects/tasks.so', 'others may write the file')


def test_a_header_that_others_may_write_is_refused():
    with Place('memory:') as place:
        place.write('tasks.c', '#include "common.h"\n' + TASKS)
        place.write('common.h', 'enum { X };\n', 0o666)
        refused(place, 'tasks.c', 'others may write the file', 'common.h')
        place.write('common.h', '#pragma GCC system_header\nenum { X };\n', 0o666)
        refused(place, 'tasks.c', 'others may write the file', 'common.h')
        place.write('tasks.c', '#include <odd "name".h>\n' + TASKS)
        place.write('odd "name".h', 'enum { X };\n', 0o666)
        refused(place, 'tasks.c', 'others may write the file', 'odd', CFLAGS='-I.')


def test_a_link_is_as_safe_as_what_it_leads_to():
    with Place('memory:') as place:
        place.write('tasks.c', TASKS, 0o666)
        os.symlink('tasks.c', place.path / 'work' / 'link.c')
        refused(place, 'link.c', 'others may write the file')


def test_tasks_of_somebody_else_are_refused():
    if os.getuid() != 0:
        raise tap.Skip('only root can give a file away')
    with Place('memory:') as place:
        os.chown(place.write('tasks.c', TASKS), 65534, 65534)
        refused(place, 'tasks.c', 'belongs to the user 65534')


def test_a_cache_that_is_not_ours_alone_is_refused():
    with Place('memory:') as place:
        place.write('tasks.c', TASKS)
        cache = place.path / 'cache'
        (cache / 'sanjab').mkdir(parents=True, mode=0o755)
        refused(place, 'tasks.c', 'only you can open', XDG_CACHE_HOME=str(cache))
        (cache / 'sanjab').rmdir()
        (cache / 'other').mkdir(mode=0o700)
        os.symlink('other', cache / 'sanjab')
        refused(place, 'tasks.c', 'no link', XDG_CACHE_HOME=str(cache))
        refused(place, 'tasks.c', 'set HOME or XDG_CACHE_HOME', HOME='')


def test_nothing_is_made_in_a_home_of_somebody_else():
    if os.getuid() != 0:
        raise tap.Skip('only root can give a folder away')
    with Place('memory:') as place:
        place.write('tasks.c', TASKS)
        os.chown(place.path / 'home', 65534, 65534)
        refused(place, 'tasks.c', 'the cache', 'belongs to the user 65534')
        assert not list((place.path / 'home').iterdir())


def test_warnings_of_the_compiler_are_shown_once():
    with Place('memory:') as place:
        place.write('tasks.c', TASKS + 'static int unused;\n')
        for said in (True, False):
            worker = place.worker('-A', 'tasks.c', '-P', 'solo')
            assert ('unused' in worker.text()) == said, worker.text()
            worker.stop()


def test_a_compiler_or_headers_that_are_not_there_are_said():
    with Place('memory:') as place:
        place.write('tasks.c', TASKS)
        refused(place, 'tasks.c', "no C compiler 'no-such-cc'", CC='no-such-cc')
        refused(place, 'tasks.c', 'SANJAB_INCLUDE', SANJAB_INCLUDE='/nonexistent')


# ---- the cache

def objects(place):
    return sorted((place.path / 'home' / '.cache' / 'sanjab').iterdir())


def test_tasks_are_compiled_once_and_again_when_something_has_changed():
    with Place('memory:') as place:
        place.write('tasks.c', '#include "more.h"\n' + TASKS)
        place.write('more.h', 'enum { X = 1 };\n')

        def start(said, **env):
            worker = place.worker('-A', 'tasks.c', '-P', 'solo', **env)
            assert ('compiling' in worker.text()) == said, worker.text()
            worker.stop()

        start(True)
        start(False)
        assert len(objects(place)) == 1
        assert objects(place)[0].stat().st_mode & 0o077 == 0
        place.write('more.h', 'enum { X = 2 };\n')
        start(True)
        start(True, CFLAGS='-DMORE=1')
        start(False, CFLAGS='-DMORE=1')
        assert len(objects(place)) == 3


def test_workers_that_compile_at_once_do_not_disturb_each_other():
    with Place('memory:') as place:
        place.write('tasks.c', TASKS)
        workers = [place.worker('-A', 'tasks.c', '-P', 'solo', ready=False) for _ in range(4)]
        for worker in workers:
            worker.wait_ready()
        for worker in workers:
            worker.stop()
        assert [path.suffix for path in objects(place)] == ['.so']


def test_a_folder_is_compiled_as_one():
    with Place('memory:') as place:
        place.write('tasks/a.c', TASKS)
        place.write('tasks/b.c', TASKS.replace('multiply', 'other') +
                    'int helper(void);\nint helper(void) { return 1; }\n')
        place.write('tasks/notes.txt', 'not C')
        worker = place.worker('-A', 'tasks')
        assert 'tasks   2 in tasks' in worker.text(), worker.text()
        worker.stop()


def shared_object(place):
    """tasks.so, linked with the library."""
    source = place.write('tasks.c', TASKS)
    subprocess.run([*os.environ.get('CC', 'cc').split(), '-shared', '-fPIC', source,
                    f'-I{ROOT}/include', f'-L{BUILD}', '-lsanjab', f'-Wl,-rpath,{BUILD}',
                    '-o', source.with_suffix('.so')], check=True)


def test_a_shared_object_linked_with_the_library_meets_the_program():
    with Place('memory:') as place:
        shared_object(place)
        worker = place.worker('-A', './tasks.so')
        assert 'tasks   1 in ./tasks.so' in worker.text(), worker.text()
        worker.stop()


def test_a_system_with_no_room_for_a_process_is_said():
    needs_no_sanitizer()
    if os.getuid() != 0 or not shutil.which('prlimit'):
        raise tap.Skip('only root can be somebody who has no other process')
    with Place('memory:') as place:
        shared_object(place)
        user = place.give_away()
        for limit in (1, 2):
            done = subprocess.run(['prlimit', f'--nproc={limit}', SANJAB, 'worker', '-A',
                                   'tasks.so'],
                                  user=user, cwd=place.path / 'work', env=place.env, text=True,
                                  stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, timeout=60)
            assert done.returncode == 4, done.stderr
            assert 'ulimit -u' in done.stderr.splitlines()[-1], (limit, done.stderr)


def test_headers_are_found_beside_the_program_where_it_is_built_and_installed():
    with Place('memory:') as place:
        place.write('tasks.c', TASKS)
        del place.env['SANJAB_INCLUDE']
        if BUILD.parent == ROOT:
            place.worker('-A', 'tasks.c').stop()
        root = place.path / 'root'
        subprocess.run(['meson', 'install', '-C', BUILD, '--no-rebuild', '--quiet', '--destdir',
                        root], check=True, stdout=subprocess.DEVNULL)
        installed, = root.rglob('bin/sanjab')
        shutil.rmtree(place.path / 'home' / '.cache', ignore_errors=True)
        place.worker('-A', 'tasks.c', program=installed).stop()
        assert list(root.rglob('man1/sanjab.1*')) and list(root.rglob('man3/sanjab.3*'))
        assert list(root.rglob('bash-completion/completions/sanjab'))


# ---- a worker's beginning and end

def test_a_worker_says_what_it_is():
    with Place('memory:') as place:
        place.write('tasks.c', TASKS)
        worker = place.worker('-A', 'tasks.c', '-c', '3', '-Q', 'a,b', '-n', 'me@%h', '-P',
                              'threads')
        text = worker.text()
        for part in ('sanjab 0.', 'node me@', 'memory:', 'threads, 3 at once', 'a, b',
                     '1 in tasks.c'):
            assert part in text, text
        worker.stop()


def test_the_log_level_is_what_was_asked_for():
    with Place('memory:') as place:
        place.write('tasks.c', TASKS)
        worker = place.worker('-A', 'tasks.c', '-l', 'error', ready=False).wait_text('tasks   1')
        worker.stop()
        assert 'INFO' not in worker.text(), worker.text()


def test_each_signal_ends_a_worker_in_its_way():
    with Place('memory:') as place:
        place.write('tasks.c', TASKS)
        for pool in ('prefork', 'threads', 'fibers', 'solo'):
            for number in (signal.SIGTERM, signal.SIGQUIT, signal.SIGINT):
                worker = place.worker('-A', 'tasks.c', '-P', pool)
                worker.stop(number)
                assert number.name in worker.text(), worker.text()


def test_usr1_writes_the_fibers_and_the_worker_goes_on():
    with Place('memory:') as place:
        place.write('tasks.c', TASKS)
        worker = place.worker('-A', 'tasks.c')
        worker.send(signal.SIGUSR1)
        worker.wait_text('heed_signals')
        worker.stop()


def children_of(pid):
    found = set()
    for stat in pathlib.Path('/proc').glob('[0-9]*/stat'):
        try:
            text = stat.read_text()
        except OSError:
            continue
        if int(text.rpartition(')')[2].split()[1]) == pid:
            child = int(stat.parent.name)
            found |= {child} | children_of(child)
    return found


def test_a_worker_that_is_killed_leaves_no_process():
    with Place('memory:') as place:
        place.write('tasks.c', TASKS)
        worker = place.worker('-A', 'tasks.c', '-c', '2')
        children = children_of(worker.process.pid)
        assert len(children) >= 3, children
        worker.kill()
        eventually(lambda: not any(pathlib.Path(f'/proc/{pid}').exists() for pid in children),
                   'its children have ended')


tap.run(globals())
