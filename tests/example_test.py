#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""An example prints what its NAME.out says.

  example_test.py [--exact] PROGRAM EXPECTED

The text must be the same. Of the numbers in it,
- "3.0 s" is how long something took that waits: it may be late, but not so late that it would be
  another story (two waits in turn instead of together). A run that is late is repeated, since the
  machine may have been busy; one that prints another text is not.
- "412 ms", "1.9 times", "pid 4711" and "thread pool-1" are measured, and any number will do;
- where a source file lies is as the compiler was told.
With --exact times must be the same, too: for programs under the simulator.
"""
import difflib
import os
import re
import subprocess
import sys

ATTEMPTS = 5
LIMIT = 60  # seconds: for what hangs
SLACK = 0.2  # seconds that may be lost anywhere; the example shows them as many times longer
MEASURED = [(re.compile(r'\b\d+(\.\d+)? (ms|times)\b'), r'N \2'),
            (re.compile(r'\bpid \d+'), 'pid N'),
            (re.compile(r'\bthread \S+'), 'thread N'),
            (re.compile(r'(\.\./)+examples/'), 'examples/')]
TIME = re.compile(r'\b(\d+(?:\.\d+)?) s\b')


def without_measured(text):
    for pattern, instead in MEASURED:
        text = pattern.sub(instead, text)
    return text


def same_text(expected, actual):
    return TIME.sub('T s', expected) == TIME.sub('T s', actual)


def early_or_late(expected, actual, slack):
    """The pairs of times that differ too much; those of programs with the same text."""
    pairs = zip(map(float, TIME.findall(expected)), map(float, TIME.findall(actual)))
    return [(e, a) for e, a in pairs if not 0.9 * e - 0.1 <= a <= 2 * e + slack]


def judge(expected, actual, exact, slack):
    """'' if all is well, else 'text' or 'time'."""
    expected, actual = without_measured(expected), without_measured(actual)
    if actual == expected:
        return ''
    if exact or not same_text(expected, actual):
        return 'text'
    return 'time' if early_or_late(expected, actual, slack) else ''


def difference(expected, actual):
    lines = difflib.unified_diff(without_measured(expected).splitlines(),
                                 without_measured(actual).splitlines(), 'expected', 'printed',
                                 lineterm='')
    return '\n'.join(lines)


def run(command, expected, exact=False, **more):
    """Runs it until its times are right; None, or what is wrong."""
    env = more.get('env', os.environ)
    slack = SLACK * float(env.get('SJ_EXAMPLE_SPEED', 1))
    for _ in range(ATTEMPTS):
        done = subprocess.run(command, text=True, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=LIMIT,
                              **more)
        if done.returncode != 0:
            return f'status {done.returncode}, and it printed:\n{done.stdout}'
        wrong = judge(expected, done.stdout, exact, slack)
        if wrong != 'time':
            break
    return f'{wrong} differs:\n{difference(expected, done.stdout)}' if wrong else None


def main(args):
    exact = args[:1] == ['--exact']
    program, expected = args[exact:]
    with open(expected) as file:
        wrong = run([program], file.read(), exact)
    if wrong:
        print(wrong)
    return 1 if wrong else 0


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
