# SPDX-License-Identifier: MIT
"""The tasks of the interoperability matrix in Python, as tasks.c has them in C.

"py.X" is known to Celery's workers alone, "both.X" to ours too; "c.X" only to ours. MATRIX is a
JSON object of settings. Imported by the test itself, and by Celery's workers.
"""
import builtins
import json
import os
import time

from celery import Celery, chain, group


def make(**settings):
    """An app with these tasks."""
    made = Celery('matrix_app', set_as_current=False)
    made.conf.update(settings)
    register(made, 'py.')
    register(made, 'both.')
    return made


def register(app, prefix):
    def task(**options):
        def decorate(fn):
            return app.task(name=prefix + fn.__name__, **options)(fn)
        return decorate

    @task()
    def echo(value):
        return value

    @task()
    def pair(a, b):
        return [a, b]

    @task()
    def typed(i, d, b, s):
        return [i, d, b, s]

    @task()
    def nothing():
        pass

    @task()
    def add(a, b):
        return a + b

    @task()
    def mul(a, b):
        return a * b

    @task()
    def tsum(numbers):
        return sum(numbers)

    @task()
    def boom(type, message):
        if '.' in type:
            module, _, name = type.rpartition('.')
            raise builtins.type(name, (Exception,), {'__module__': module})(message)
        raise getattr(builtins, type)(message)

    @task()
    def fail(value):
        raise ValueError(json.dumps(value))

    @task(bind=True)
    def flaky(self, times):
        if self.request.retries < times:
            raise self.retry(exc=ValueError('not yet'), countdown=0.01, max_retries=5)
        return self.request.retries

    @task(bind=True)
    def hopeless(self, with_cause):
        raise self.retry(exc=KeyError('nowhere') if with_cause else None, countdown=0.01,
                         max_retries=1)

    @task(bind=True)
    def patient(self):
        raise self.retry(exc=ValueError('later'), countdown=600)

    @task()
    def nap(seconds):
        time.sleep(seconds)
        return 'slept'

    @task()
    def block(seconds):
        time.sleep(seconds)
        return 'blocked'

    @task()
    def when():
        return time.time()

    @task(rate_limit='4/s')
    def limited():
        return time.time()

    @task(bind=True)
    def who(self):
        r = self.request
        return {'lang': 'py', 'id': r.id, 'root': r.root_id, 'parent': r.parent_id,
                'group': r.group, 'retries': r.retries}

    @task(ignore_result=True)
    def quiet(a):
        return a

    @task(bind=True)
    def hold(self, file):
        self.update_state(state='HELD', meta={'until': file})
        while not os.path.exists(file):
            time.sleep(0.01)
        return 'let go'

    @task(bind=True)
    def replaced(self, a, b):
        return self.replace(chain(app.signature(prefix + 'add', (a, b)),
                                  app.signature(prefix + 'mul', (10,))))

    @task(bind=True)
    def spread(self, a):
        return self.replace(group(app.signature(prefix + 'add', (a, 1)),
                                  app.signature(prefix + 'add', (a, 2))))

    @task(bind=True)
    def grow(self, a):
        self.add_to_chord(app.signature(prefix + 'add', (a, 100)))
        return a


app = make(**json.loads(os.environ['MATRIX']))
