#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""The commands around examples/tasks.c, which the README shows, print what stands there."""
import shutil
import subprocess

from program import BUILD, LIMIT, ROOT, Place, needs_sqlite

import tap

EXAMPLES = ROOT / 'examples'


def test_the_commands_print_what_they_should():
    needs_sqlite()
    with Place() as place:
        shutil.copy(EXAMPLES / 'tasks.c', place.path / 'work')
        env = {**place.env, 'PATH': f'{BUILD}:{place.env["PATH"]}'}
        done = subprocess.run(['sh', '-e', EXAMPLES / 'tasks.sh'], env=env, text=True,
                              cwd=place.path / 'work', stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=LIMIT)
        assert done.returncode == 0, done.stdout + done.stderr
        assert done.stdout == (EXAMPLES / 'tasks.out').read_text(), done.stdout + done.stderr


tap.run(globals())
