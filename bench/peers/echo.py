# SPDX-License-Identifier: MIT
"""asyncio and uvloop in the echo cases, by protocols, which are the quickest that they have.
Prints its port."""
import asyncio
import sys


class Echo(asyncio.Protocol):
    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        self.transport.write(data)


async def main():
    server = await asyncio.get_running_loop().create_server(Echo, '127.0.0.1', 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if sys.argv[1] == 'uvloop':
    import uvloop
    uvloop.install()
asyncio.run(main())
