# SPDX-License-Identifier: MIT
"""A proxy as a thread with an asyncio loop, which the thread of a test tells what to do.

Who derives from it has async _serve(reader, writer), and _cut(), which resets all connections;
both run in the proxy's thread.
"""
import asyncio
import socket
import struct
import threading


def abort(writer):
    """Resets the connection, so that what was sent and not read is lost."""
    raw = writer.get_extra_info('socket')
    if raw is not None:
        try:
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
        except OSError:
            pass
    writer.transport.abort()


class ProxyThread:
    def __init__(self, host, port):
        self.target = (host, port)
        self.port = None
        self.links = set()
        self.loop = asyncio.new_event_loop()
        self.ready = threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self):
        self.thread.start()
        self.ready.wait()
        return self

    def __exit__(self, *_):
        def end():
            self._cut()
            for task in asyncio.all_tasks(self.loop):
                task.cancel()
            self.loop.call_later(0.1, self.loop.stop)
        self.loop.call_soon_threadsafe(end)
        self.thread.join(10)

    def reset(self):
        self._do(self._cut)

    def _do(self, function):
        done = threading.Event()
        self.loop.call_soon_threadsafe(lambda: (function(), done.set()))
        done.wait(10)

    def _run(self):
        asyncio.set_event_loop(self.loop)
        server = self.loop.run_until_complete(asyncio.start_server(self._serve, '127.0.0.1', 0))
        self.port = server.sockets[0].getsockname()[1]
        self.ready.set()
        self.loop.run_forever()
