# SPDX-License-Identifier: MIT
"""Runs the test_* functions of a module and reports each in the Test Anything Protocol."""
import sys
import traceback


class Skip(Exception):
    """A case that cannot run here; the reason is its text."""


def main(namespace):
    """Runs every test_* of namespace in its order; the exit status."""
    cases = [(name, case) for name, case in namespace.items()
             if name.startswith('test_') and callable(case)]
    print(f'1..{len(cases)}', flush=True)
    failed = 0
    for number, (name, case) in enumerate(cases, 1):
        name = name.removeprefix('test_')
        try:
            case()
            print(f'ok {number} - {name}', flush=True)
        except Skip as reason:
            print(f'ok {number} - {name} # SKIP {reason}', flush=True)
        except Exception:
            failed += 1
            print(f'not ok {number} - {name}', flush=True)
            for line in traceback.format_exc().splitlines():
                print('# ' + line, flush=True)
    return 1 if failed else 0


def run(namespace):
    sys.exit(main(namespace))
