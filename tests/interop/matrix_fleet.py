# SPDX-License-Identifier: MIT
"""What the interoperability matrix runs on: a worker of ours, one of Celery's, and a client of each
kind.

A client has send, get and the others, with the same arguments whichever it is; a canvas is told to
it as a tree (see caller.c). Task options have the names of sj_call's members.
"""
import collections
import datetime
import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time

import redis_server
import tap

PYTHON = '/usr/bin/python3'
BUILD = pathlib.Path(os.environ['BUILD']).resolve()
HERE = pathlib.Path(__file__).resolve().parent
SANJAB = BUILD / 'sanjab'
CALLER = BUILD / 'tests' / 'interop_caller'
TASKS = BUILD / 'tests' / 'libinterop_tasks.so'
PATIENCE = 60
ROUTES = {'c.*': 'c', 'py.*': 'py', 'both.*': 'both'}

# What became of a task, as a client sees it: of an error its class's name and module, and its
# argument: as it is if it is a text, else as JSON; a list if there are several.
Outcome = collections.namedtuple('Outcome', 'state value type message module')


def eventually(condition, what):
    """Its first value that is true."""
    end = time.monotonic() + PATIENCE
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < end, f'{what}: not within {PATIENCE} s'
        time.sleep(0.01)


def json_text(value):
    return json.dumps(value, separators=(',', ':'))


class OursFailed(Exception):
    """A call of ours failed; errno is what it returned."""

    def __init__(self, errno, request):
        super().__init__(f'{errno} ({os.strerror(-errno)}): {request}')
        self.errno = errno


class OurClient:
    """Talks to caller.c."""
    name = 'ours'

    def __init__(self, env, cwd, log):
        self.process = subprocess.Popen([CALLER], env=env, cwd=cwd, stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, stderr=log, text=True)

    def ask(self, op, **what):
        line = json.dumps({'op': op, **{k: v for k, v in what.items() if v is not None}})
        self.process.stdin.write(line + '\n')
        self.process.stdin.flush()
        said = self.process.stdout.readline()
        assert said, f'caller has ended ({self.process.wait()}) at {line}'
        answer = json.loads(said)
        if 'errno' in answer:
            raise OursFailed(answer['errno'], line)
        return answer

    def send(self, name, args=(), kwargs=None, **call):
        return self.ask('send', name=name, args=list(args), kwargs=kwargs, call=call)['id']

    def canvas(self, tree):
        """Its result: what get takes."""
        return self.ask('canvas', tree=tree)

    def text(self, tree):
        return self.ask('text', tree=tree)['text']

    def get(self, result, wait=PATIENCE):
        return self._outcome('get', result, wait=wait)

    def state(self, result):
        return self._outcome('state', result)

    def _outcome(self, op, result, **more):
        if isinstance(result, str):
            result = {'id': result}
        o = self.ask(op, **result, **more)
        e = o['error']
        return Outcome(o['state'], o['value'], e['type'], e['message'], e['module'])

    def group(self, tree, save=False):
        """Its id, and those of its members."""
        g = self.ask('group', tree=tree, save=save)
        return g['id'], g['members']

    def restore(self, group_id):
        """The ids and values of the members of a group that was saved."""
        g = self.ask('restore', id=group_id, wait=PATIENCE)
        return g['members'], [o['value'] for o in g['outcomes']]

    def revoke(self, task_id):
        self.ask('revoke', id=task_id)

    def forget(self, task_id):
        self.ask('forget', id=task_id)

    def close(self):
        self.process.stdin.close()
        self.process.wait(PATIENCE)
        self.process.stdout.close()


class PythonClient:
    """Celery's own, in this process."""
    name = 'python'

    def __init__(self, app):
        self.app = app
        # A result that is freed takes the subscription of every other one of its id with it.
        self.kept = []

    def result(self, of):
        """Of an id or a result."""
        self.kept.append(self.app.AsyncResult(of) if isinstance(of, str) else of)
        return self.kept[-1]

    @staticmethod
    def wait(result, wait):
        """What its get returns."""
        from celery.exceptions import TimeoutError
        end = time.monotonic() + wait
        while True:
            try:
                return result.get(timeout=0.2, propagate=False, disable_sync_subtasks=False)
            except TimeoutError:
                # Of several results with one id, one alone hears of it; so look, too.
                if not result.ready() and time.monotonic() > end:
                    raise

    def options(self, call):
        """A CALL of caller.c as the options of apply_async."""
        call = dict(call or {})
        for ours, its in (('eta', 'eta'), ('expires_at', 'expires')):
            if ours in call:
                call[its] = datetime.datetime.fromtimestamp(call.pop(ours), datetime.timezone.utc)
        if call.pop('transient', False):
            call['delivery_mode'] = 1
        for name in ('link', 'link_error'):
            if name in call:
                call[name] = self.tree(call[name])
        return call

    def tree(self, tree):
        import celery
        of = {k: v for k, v in tree.items()}
        take = of.pop
        if 'task' in of:
            s = self.app.signature(take('task'), take('args', []), take('kwargs', {}))
        elif 'chain' in of:
            s = celery.chain(*map(self.tree, take('chain')), app=self.app)
        elif 'group' in of:
            s = celery.group(*map(self.tree, take('group')), app=self.app)
        elif 'chord' in of:
            header, body = take('chord')
            s = celery.chord(self.tree(header), self.tree(body), app=self.app)
        elif 'map' in of:
            task, items = take('map')
            s = celery.canvas.xmap(self.tree(task), items, app=self.app)
        elif 'starmap' in of:
            task, items = take('starmap')
            s = celery.canvas.xstarmap(self.tree(task), items, app=self.app)
        elif 'chunks' in of:
            task, items, size = take('chunks')
            s = celery.canvas.chunks(self.tree(task), items, size, app=self.app).group()
        else:
            s = celery.signature(take('json'), app=self.app)
        if 'partial' in of:
            s = s.clone(take('partial'))
        if take('immutable', False):
            s.set_immutable(True)
        if 'call' in of:
            s.set(**self.options(take('call')))
        for each in take('link', []):
            s.link(self.tree(each))
        for each in take('link_error', []):
            s.link_error(self.tree(each))
        assert not of, f'not of a tree: {of}'
        return s

    def send(self, name, args=(), kwargs=None, **call):
        task = self.app.tasks.get(name) or self.app.signature(name)
        if not call:
            return self.result(task.delay(*args, **(kwargs or {}))).id
        return self.result(task.apply_async(tuple(args), kwargs, **self.options(call))).id

    def canvas(self, tree):
        return self.result(self.tree(tree).delay())

    def text(self, tree):
        return json.dumps(self.tree(tree))

    def get(self, result, wait=PATIENCE):
        result = self.result(result)
        if hasattr(result, 'children') and hasattr(result, 'join'):
            return Outcome('SUCCESS', self.wait(result, wait), '', '', '')
        self.wait(result, wait)
        return self.state(result)

    def state(self, result):
        result = self.result(result)
        state, value = result.state, result.result
        if isinstance(value, BaseException):
            kind = type(value)
            only = value.args[0] if len(value.args) == 1 else list(value.args)
            said = only if isinstance(only, str) else json_text(only) if only != [] else ''
            return Outcome(state, None, kind.__qualname__, said, kind.__module__)
        return Outcome(state, value, '', '', '')

    def group(self, tree, save=False):
        g = self.result(self.tree(tree).delay())
        if save:
            g.save()
        return g.id, [r.id for r in g.results]

    def restore(self, group_id):
        g = self.result(self.app.GroupResult.restore(group_id))
        assert g is not None, 'there is no such group'
        return [r.id for r in g.results], self.wait(g, PATIENCE)

    def revoke(self, task_id):
        self.app.control.revoke(task_id)

    def forget(self, task_id):
        self.app.AsyncResult(task_id).forget()

    def close(self):
        # Results may die after their server, and would want to tell it.
        self.app.backend.remove_pending_result = lambda result: result


class Fleet:
    """Both workers, named c@here and py@here, and both clients; settings have Celery's names.

    queues of ours: c, c-bound; of Celery's: py, py-bound; of both: both, and celery, for what no
    route names. To the bound ones nobody publishes but by exchange and key.
    """

    def __init__(self, server, name, results, settings):
        self.server = server
        self.name = name
        self.clients = {}
        self.settings = {'broker_url': server.url, 'result_backend': results or server.url,
                         'task_routes': ROUTES, 'accept_content': ['json', 'msgpack'], **settings}
        self.folder = tempfile.TemporaryDirectory(prefix='sanjab-interop-')
        self.place = pathlib.Path(self.folder.name)
        self.started = []
        self.log_file = open(self.place / 'log', 'a', encoding='utf-8')
        self.python_settings = {**self.settings, 'worker_prefetch_multiplier': 1,
                                'task_routes': {k: {'queue': v} for k, v in ROUTES.items()}}
        self.env = {**os.environ, 'HOME': str(self.place), 'PYTHONPATH': str(HERE),
                    'PYTHONDONTWRITEBYTECODE': '1', 'MATRIX': json.dumps(self.python_settings)}
        for name, value in self.settings.items():
            if isinstance(value, list):
                value = ','.join(value)
            elif not isinstance(value, str):
                value = json.dumps(value)
            self.env['SANJAB_' + name.upper()] = value

    def start(self):
        """Returns before they are ready."""
        self.run(PYTHON, '-m', 'celery', '-A', 'matrix_app', 'worker', '-c', '3',
                 '-Q', 'py,both,celery,py-bound', '-n', 'py@here', '-l', 'info')
        self.run(SANJAB, 'worker', '-A', TASKS, '-c', '3',
                 '-Q', 'c,both,celery,c-bound', '-n', 'c@here')

    def connect(self, matrix_app):
        self.clients[self.name + 'ours'] = OurClient(self.env, self.place, self.log_file)
        self.add_python(matrix_app, self.name + 'python')

    def add_python(self, matrix_app, name, **settings):
        self.clients[name] = PythonClient(matrix_app.make(**{**self.python_settings, **settings}))

    def stored(self, task_id):
        """Its result as it lies in Redis."""
        client = next(c for c in self.clients.values() if c.name == 'python')
        return client.app.backend.client.get(f'celery-task-meta-{task_id}')

    def wait_until_ready(self):
        def ready():
            for p in self.started:
                assert p.poll() is None, 'a worker has ended:\n' + self.log()
            log = self.log()
            return 'py@here ready' in log and 'c@here is ready' in log
        try:
            eventually(ready, 'both workers are ready')
        except AssertionError as e:
            raise AssertionError(f'{e}\n{self.log()}') from None

    def run(self, *command):
        p = subprocess.Popen(list(map(str, command)), cwd=self.place, env=self.env,
                             stdin=subprocess.DEVNULL, stdout=self.log_file, stderr=self.log_file,
                             start_new_session=True)
        self.started.append(p)
        return p

    def command(self, *words, status=0):
        """What the sanjab command prints."""
        done = subprocess.run([SANJAB, *words], cwd=self.place, env=self.env, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=PATIENCE)
        assert done.returncode == status, (words, done)
        return done.stdout

    def log(self):
        return (self.place / 'log').read_text(encoding='utf-8')

    def close(self):
        for p in self.started:
            try:
                os.killpg(p.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            p.wait()
        for client in self.clients.values():
            client.close()
        self.log_file.close()
        self.folder.cleanup()
