# SPDX-License-Identifier: MIT
"""A TCP proxy in front of a Redis server, which a test tells what to break.

The proxy is a thread with an asyncio loop. Bytes pass both ways through a rule:

    cut_after(direction, n)   n bytes more of that direction, over all connections; then all
                              connections are reset, and the next ones pass freely
    hold_when(text, reply)    the first answer from the server that follows a command with this
                              text (and is not nil) is passed on (reply=True) or kept (False);
                              from then on nothing more leaves for the server or comes back, and
                              the event `held` is set, until release()
    reset()                   resets all connections
"""
import asyncio
import threading
import time

from proxy_thread import ProxyThread, abort

TO_SERVER, TO_CLIENT = 'to server', 'to client'


class Proxy(ProxyThread):
    def __init__(self, host, port):
        super().__init__(host, port)
        self.budget = {TO_SERVER: None, TO_CLIENT: None}
        self.passed = {TO_SERVER: 0, TO_CLIENT: 0}
        self.cut_at = self.back_at = None
        self.hold_text = None
        self.hold_reply = True
        self.armed_link = None
        self.holding = False
        self.held = threading.Event()

    # What a test says, from its own thread.

    def cut_after(self, direction, n):
        def arm():
            self._cut()
            self.cut_at = self.back_at = None
            self.budget = {TO_SERVER: None, TO_CLIENT: None}
            self.budget[direction] = n
        self._do(arm)

    def pass_freely(self):
        self._do(lambda: setattr(self, 'budget', {TO_SERVER: None, TO_CLIENT: None}))

    def count(self):
        """Resets all connections, and counts what passes from now on."""
        def begin():
            self._cut()
            self.passed = {TO_SERVER: 0, TO_CLIENT: 0}
        self._do(begin)

    def hold_when(self, text, reply):
        def arm():
            self.held.clear()
            self.hold_text, self.hold_reply = text, reply
            self.armed_link = None
        self._do(arm)

    def release(self):
        def free():
            self.hold_text = self.armed_link = None
            self.holding = False
            self._cut()
        self._do(free)

    # The proxy's own thread.

    def _cut(self):
        for writers in self.links:
            for writer in writers:
                abort(writer)
        self.links.clear()

    async def _serve(self, reader, writer):
        try:
            up_reader, up_writer = await asyncio.open_connection(*self.target)
        except OSError:
            writer.transport.abort()
            return
        if self.cut_at is not None and self.back_at is None:
            self.back_at = time.monotonic()
        link = (writer, up_writer)
        self.links.add(link)
        await asyncio.gather(self._pump(link, reader, up_writer, TO_SERVER),
                             self._pump(link, up_reader, writer, TO_CLIENT))
        self.links.discard(link)

    async def _pump(self, link, reader, writer, direction):
        try:
            while data := await reader.read(65536):
                while self.holding:
                    await asyncio.sleep(0.01)
                    if link not in self.links:
                        return
                if self._watch(link, data, direction):
                    if self.hold_reply:
                        writer.write(data)
                        await writer.drain()
                    self.holding = True
                    self.held.set()
                    continue
                data, cut = self._ration(data, direction)
                writer.write(data)
                await writer.drain()
                self.passed[direction] += len(data)
                if cut:
                    self.cut_at = time.monotonic()
                    self._cut()
                    return
        except (ConnectionError, OSError):
            pass
        writer.close()

    def _ration(self, data, direction):
        left = self.budget[direction]
        if left is None:
            return data, False
        if len(data) < left:
            self.budget[direction] = left - len(data)
            return data, False
        self.budget = {TO_SERVER: None, TO_CLIENT: None}
        return data[:left], True

    def _watch(self, link, data, direction):
        """Whether this is the answer that was waited for."""
        if self.hold_text is None or self.holding:
            return False
        if direction == TO_SERVER:
            if self.hold_text in data:
                self.armed_link = link
            return False
        nil = data in (b'$-1\r\n', b'*-1\r\n')
        return link is self.armed_link and not nil
