#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""The guide: its programs and outputs are those in examples/, and its queue runs as it says."""
import pathlib
import re
import shutil
import subprocess

from program import BUILD, LIMIT, ROOT, Place, needs_sqlite

import tap

GUIDE = ROOT / 'docs' / 'guide.md'
BLOCK = re.compile(r'<!-- (?:file|output): (\S+) -->\n```(?:c)?\n(.*?)```', re.S)


def shown(path):
    """A file as the guide shows it: without the line about its licence."""
    return re.sub(r'\A/\* SPDX.*\*/\n', '', (ROOT / path).read_text())


def test_programs_and_outputs_are_those_of_the_examples():
    blocks = BLOCK.findall(GUIDE.read_text())
    assert len(blocks) >= 10, blocks
    for path, text in blocks:
        assert text == shown(path), f'{path} differs'


def test_links_lead_somewhere():
    for target in re.findall(r'\]\(([^)#:]+)\)', GUIDE.read_text()):
        assert (GUIDE.parent / target).exists(), target


def runs_with_a_worker(program, sources, tasks, output):
    needs_sqlite()
    with Place('sqlite:jobs.db') as place:
        for name in sources:
            shutil.copyfile(ROOT / name, place.path / 'work' / pathlib.Path(name).name)
        for pool in ('prefork', 'fibers'):
            worker = place.worker('-A', tasks, '-P', pool, '-n', f'{pool}@%h')
            done = subprocess.run([BUILD / 'examples' / 'guide' / program], text=True,
                                  env=place.env, cwd=place.path / 'work', timeout=LIMIT,
                                  stdout=subprocess.PIPE)
            assert done.stdout == shown(output), done.stdout + worker.text()
            worker.stop()


def test_the_tasks_are_run_by_a_worker():
    runs_with_a_worker('guide_send', ['examples/guide/tasks.c', 'examples/guide/tasks.h'],
                       'tasks.c', 'examples/guide/send.out')


def test_the_canvas_is_run_by_a_worker():
    runs_with_a_worker('guide_canvas', ['examples/guide/canvas.c'], 'canvas.c',
                       'examples/guide/canvas.out')


def test_the_task_program_of_the_readme_is_its_own_tasks_file():
    runs_with_a_worker('multiply', ['examples/multiply.c'], 'multiply.c', 'examples/multiply.out')


tap.run(globals())
