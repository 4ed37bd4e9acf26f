# SPDX-License-Identifier: MIT
"""asyncio in the case idle_connection, by a protocol, which is the least that it has. Prints the
bytes that each connection takes."""
import asyncio
import re
import resource
import socket

CONNECTIONS, BATCH = 10000, 100


def memory():
    with open('/proc/self/smaps_rollup', encoding='ascii') as f:
        return int(re.search(r'^Anonymous: +(\d+)', f.read(), re.MULTILINE)[1]) * 1024


async def main():
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    n = min(CONNECTIONS, (hard - 100) // 2)
    server = await asyncio.get_running_loop().create_server(asyncio.Protocol, '127.0.0.1', 0,
                                                            backlog=1024)
    at = server.sockets[0].getsockname()
    fds = [0] * n
    before = memory()
    for i in range(n):
        client = socket.socket()
        client.connect(at)
        fds[i] = client.detach()
        if i % BATCH == BATCH - 1:
            await asyncio.sleep(0.001)
    await asyncio.sleep(0.1)
    print(f'{(memory() - before) / n:.1f}')


asyncio.run(main())
