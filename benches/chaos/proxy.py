"""Stands between the members of the replica set and everybody else, and cuts or holds connections.

Runs as a process of its own: python proxy.py LISTEN:TARGET... Reads commands from its input: "cut PORT" closes all
connections of a listening port, "hold PORT SECONDS" lets nothing through for a while, as a network that is lost,
"open PORT" ends that. It ends with its input.
"""

import asyncio
import os
import sys


class Member:
    def __init__(self, listen, target):
        self.listen, self.target = listen, target
        self.writers, self.open = set(), asyncio.Event()
        self.open.set()

    async def accept(self, reader, writer):
        try:
            there, back = await asyncio.open_connection("127.0.0.1", self.target)
        except OSError:
            writer.transport.abort()
            return
        self.writers |= {writer, back}
        await asyncio.gather(self.pump(reader, back), self.pump(there, writer))
        self.writers -= {writer, back}

    async def pump(self, reader, writer):
        try:
            while data := await reader.read(1 << 16):
                await self.open.wait()
                writer.write(data)
                await writer.drain()
        except OSError:
            pass
        writer.close()

    def cut(self):
        for writer in list(self.writers):
            writer.transport.abort()

    async def hold(self, seconds):
        self.open.clear()
        await asyncio.sleep(seconds)
        self.open.set()


async def main():
    members = {}
    for pair in sys.argv[1:]:
        listen, target = map(int, pair.split(":"))
        members[listen] = member = Member(listen, target)
        await asyncio.start_server(member.accept, "127.0.0.1", listen)
    print("ready", flush=True)
    holds = set()
    while line := await asyncio.to_thread(sys.stdin.readline):
        word, port, *more = line.split()
        if word == "cut":
            members[int(port)].cut()
        elif word == "open":
            members[int(port)].open.set()
        else:
            holds.add(asyncio.create_task(members[int(port)].hold(float(more[0]))))
    os._exit(0)


if __name__ == "__main__":
    asyncio.run(main())
