#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Our client and Python's, on our worker and Python's, over one Redis.

BUILD is the build folder; MATRIX_ONLY, if given, a part of the names of the cases to be run. Needs
redis-server and Debian's python3-celery; without one of them the cases are skipped. The cases are
in the modules that are imported here; matrix_table.py says what one is.
"""
import atexit
import importlib.util
import inspect
import os
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import redis_server  # noqa: E402
import tap  # noqa: E402
import matrix_fleet  # noqa: E402
import matrix_table  # noqa: E402
import matrix_arguments  # noqa: E402,F401
import matrix_options  # noqa: E402,F401
import matrix_outcomes  # noqa: E402,F401
import matrix_canvas  # noqa: E402,F401
import matrix_elsewhere  # noqa: E402
import matrix_hostile  # noqa: E402,F401
import matrix_protocol1  # noqa: E402,F401

def make_tests(clients):
    """Cases as tap wants them. Those that take time begin here."""
    only = os.environ.get('MATRIX_ONLY', '')
    tests = {}
    for name, (fn, client, prefix) in matrix_table.CASES.items():
        if only not in name:
            continue
        arguments = (clients[client], prefix) if client else (clients,)
        if inspect.isgeneratorfunction(fn):
            test = begun(fn(*arguments))
        else:
            def test(fn=fn, arguments=arguments):
                fn(*arguments)
        tests['test_' + name] = test
    return tests


def begun(steps):
    """Its first part now; its second when it is called."""
    try:
        next(steps)
        wrong = None
    except Exception as e:
        wrong = e

    def rest():
        if wrong:
            raise wrong
        try:
            next(steps)
        except StopIteration:
            return
        raise AssertionError('a case yields once')
    return rest


def start(server, name, settings, results=None):
    fleet = matrix_fleet.Fleet(server, name, results, settings)
    atexit.register(fleet.close)
    fleet.start()
    return fleet


def begin():
    server = redis_server.RedisServer()
    for module in ('celery', 'redis', 'msgpack'):
        if not importlib.util.find_spec(module):
            raise tap.Skip(f'python3-{module} is not installed')
    server.__enter__()
    atexit.register(server.__exit__)
    matrix_table.FLEET = start(server, '', {})
    matrix_table.ELSEWHERE = start(server, 'elsewhere-', matrix_elsewhere.SETTINGS,
                                   results=f'redis://127.0.0.1:{server.port}/1')
    os.environ['MATRIX'] = matrix_table.FLEET.env['MATRIX']
    import matrix_app
    for fleet in (matrix_table.FLEET, matrix_table.ELSEWHERE):
        fleet.connect(matrix_app)
    matrix_table.FLEET.add_python(matrix_app, 'protocol1-python', task_protocol=1)
    for fleet in (matrix_table.FLEET, matrix_table.ELSEWHERE):
        matrix_table.CLIENTS_BY_NAME.update(fleet.clients)
    clients = matrix_table.CLIENTS_BY_NAME
    for fleet in (matrix_table.FLEET, matrix_table.ELSEWHERE):
        fleet.wait_until_ready()
    return make_tests(clients)


def main():
    try:
        tests = begin()
    except tap.Skip as reason:
        def test_matrix(reason=reason):
            raise reason
        tests = {'test_matrix': test_matrix}
    return tap.main(tests)


if __name__ == '__main__':
    sys.exit(main())
