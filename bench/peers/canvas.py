#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Bytes that Celery's client sends for a chain of N chords, each of ten tasks and a body.

  canvas.py N

Its workers send more, as the chain goes on. What is sent is counted and dropped: nothing is kept
in memory but one message.
"""
import sys

from celery import Celery, chain, chord
from kombu.transport import memory
from kombu.utils.json import dumps

app = Celery('bench', broker='memory://', backend='cache+memory://')


@app.task(name='noop')
def noop(*args):
    pass


def main(n):
    sent = 0

    def put(channel, queue, message, **options):
        nonlocal sent
        sent += len(dumps(message))

    memory.Channel._put = put
    chain(*(chord([noop.si() for _ in range(10)], noop.si()) for _ in range(n))).apply_async()
    print(sent)


if __name__ == '__main__':
    main(int(sys.argv[1]))
