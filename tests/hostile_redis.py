# SPDX-License-Identifier: MIT
"""A Redis that one cannot trust: a proxy in front of a real one, which answers as it is told.

It reads both directions as Redis' protocol, so that it knows which command each reply is of. The
kind of a command is its first word, of scripts "script NAME", and of what a subscription is told
"news". While a rule stands, the replies of its kind are replaced:

    rule(kind, answer, times)    kind None: of any. answer: bytes, after which the true replies go
                                 on; or a function that gives pieces of them, after which that
                                 connection is silent for ever
    pass_freely()                the rule is lifted

A rule whose turn has come `times` times is over by itself.
"""
import asyncio
import hashlib

from proxy_thread import ProxyThread, abort

CHUNK = 65536


class Reader:
    """Cuts a stream into whole commands or replies."""

    def __init__(self):
        self.data = bytearray()

    def feed(self, data):
        self.data += data
        while (end := self._whole(0)) is not None:
            raw = bytes(self.data[:end])
            del self.data[:end]
            yield raw

    def _whole(self, at):
        """Where the value that begins there ends, or None."""
        line = self.data.find(b'\r\n', at)
        if line < 0:
            return None
        sign, end = self.data[at:at + 1], line + 2
        if sign not in b'$*':
            return end
        n = int(self.data[at + 1:line])
        if sign == b'$':
            end += n + 2 if n >= 0 else 0
            return end if end <= len(self.data) else None
        for _ in range(n):
            end = self._whole(end)
            if end is None:
                return None
        return end


def words_of(raw):
    """Of a command."""
    words, at = [], raw.find(b'\r\n') + 2
    while at < len(raw):
        line = raw.find(b'\r\n', at)
        n = int(raw[at + 1:line])
        words.append(raw[line + 2:line + 2 + n])
        at = line + 2 + n + 2
    return words


class Link:
    """A connection, and what is due on it."""

    def __init__(self, reader, writer, up_reader, up_writer):
        self.reader, self.writer = reader, writer
        self.up_reader, self.up_writer = up_reader, up_writer
        self.due = []      # the kinds of the commands that wait for their replies
        self.hears = False  # it has subscribed
        self.spoilt = False  # nothing true comes any more

    def reset(self):
        for writer in (self.writer, self.up_writer):
            abort(writer)


class HostileRedis(ProxyThread):
    def __init__(self, host, port, scripts):
        """scripts: the names of scripts by the SHA-1 of their texts."""
        super().__init__(host, port)
        self.scripts = scripts
        self.kinds = {}  # how often each was answered
        self.hits = 0
        self.wanted = None

    def rule(self, kind, answer, times=1):
        def arm():
            self.hits = 0
            self.wanted = [kind, answer, times]
        self._do(arm)

    def pass_freely(self):
        self._do(lambda: setattr(self, 'wanted', None))

    def _cut(self):
        for link in list(self.links):
            link.reset()

    async def _serve(self, reader, writer):
        try:
            up = await asyncio.open_connection(*self.target)
        except OSError:
            writer.transport.abort()
            return
        link = Link(reader, writer, *up)
        self.links.add(link)
        try:
            await asyncio.gather(self._forth(link), self._back(link))
        except asyncio.CancelledError:
            pass
        self.links.discard(link)

    async def _forth(self, link):
        commands = Reader()
        try:
            while data := await link.reader.read(CHUNK):
                for raw in commands.feed(data):
                    link.due.append(self._kind(link, words_of(raw)))
                link.up_writer.write(data)
                await link.up_writer.drain()
        except (ConnectionError, OSError, asyncio.CancelledError):
            pass
        link.up_writer.close()

    def _kind(self, link, words):
        first = words[0].lower().decode()
        if first == 'evalsha':
            return 'script ' + self.scripts.get(words[1].decode(), '?')
        if first == 'script':
            return 'script load'
        if first in ('subscribe', 'psubscribe'):
            link.hears = True
        return first

    def _kind_of_reply(self, link, raw):
        if link.hears and raw.startswith((b'*3\r\n$7\r\nmessage', b'*4\r\n$8\r\npmessage')):
            return 'news'
        return link.due.pop(0) if link.due else 'news'

    async def _back(self, link):
        replies = Reader()
        try:
            while data := await link.up_reader.read(CHUNK):
                for raw in replies.feed(data):
                    kind = self._kind_of_reply(link, raw)
                    if not link.spoilt and self._strikes(kind):
                        link.spoilt = True
                        await self._answer(link)
                    elif not link.spoilt:
                        link.writer.write(raw)
                        self.kinds[kind] = self.kinds.get(kind, 0) + 1
                await link.writer.drain()
        except (ConnectionError, OSError, asyncio.CancelledError):
            pass
        link.writer.close()

    def _strikes(self, kind):
        if self.wanted is None or self.wanted[0] not in (None, kind) or self.wanted[2] == 0:
            return False
        self.wanted[2] -= 1
        self.hits += 1
        return True

    async def _answer(self, link):
        answer = self.wanted[1]
        if isinstance(answer, bytes):
            # What follows it is true again, as far as that can be seen.
            link.spoilt = False
            link.writer.write(answer)
            return
        for piece in answer():
            link.writer.write(piece)
            await link.writer.drain()
