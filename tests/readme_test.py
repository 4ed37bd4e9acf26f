#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""The README shows the programs that the tests build and run, and their real output.

With --fix it copies them there.
"""
import pathlib
import re
import sys

import tap

ROOT = pathlib.Path(__file__).resolve().parent.parent
README = ROOT / 'README.md'
BLOCK = re.compile(r'<!-- (?:file|output): (\S+) -->\n(```c?\n)(.*?)(```)', re.S)
LINK = re.compile(r'\[[^\]]*\]\(([^)#:]+)\)')


def shown(path):
    """A file as the README shows it: without the line about its licence."""
    return re.sub(r'\A/\* SPDX.*\*/\n', '', (ROOT / path).read_text())


def test_programs_and_outputs_are_those_of_the_examples():
    blocks = BLOCK.findall(README.read_text())
    assert blocks
    for path, _, text, _ in blocks:
        assert text == shown(path), f'{path} differs; tests/readme_test.py --fix copies it'


def test_links_lead_somewhere():
    for name in ('README.md', 'CONTRIBUTING.md', 'docs/design.md'):
        page = ROOT / name
        for target in LINK.findall(page.read_text()):
            assert (page.parent / target).exists(), f'{name}: {target}'


if sys.argv[1:] == ['--fix']:
    README.write_text(BLOCK.sub(lambda m: m.group(0)[:m.start(3) - m.start()] +
                                shown(m.group(1)) + m.group(4), README.read_text()))
else:
    tap.run(globals())
