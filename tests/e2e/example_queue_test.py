#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""An example of the queue prints what its NAME.out says, with a worker that runs its tasks.

  example_queue_test.py SOURCE PROGRAM [worker's options]...

SOURCE is both: the worker is given it as its tasks, and PROGRAM was built from it.
"""
import os
import pathlib
import shutil
import sys

from program import Place

import example_test


def main(source, program, *options):
    with Place('sqlite:jobs.db') as place:
        for path in [source, *source.parent.glob('*.h')]:  # a folder that none but we may write
            shutil.copy(path, place.path / 'work')
        for name in ('SJ_EXAMPLE_SPEED', 'CFLAGS', 'LDLIBS'):
            if name in os.environ:
                place.env[name] = os.environ[name]
        place.worker('-A', source.name, *options)
        wrong = example_test.run([program], source.with_suffix('.out').read_text(),
                                 env=place.env, cwd=place.path / 'work')
        if wrong:
            print(wrong)
            print(place.workers[0].text())
        place.workers[0].stop()
    return 1 if wrong else 0


if __name__ == '__main__':
    sys.exit(main(*(pathlib.Path(arg).resolve() for arg in sys.argv[1:3]), *sys.argv[3:]))
