"""A mirror target that does everything wrong, in one of four ways; its checks are answered well all the same.

It stands for another machine, so it runs when nobody else wants a core.
"""

import argparse
import asyncio
import os
import socket
import struct

import uvloop

CHUNK = bytes(256 * 1024)
FLOOD_BYTES = 1_000_000_000
GOOD = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
RESET_ON_CLOSE = struct.pack("ii", 1, 0)


async def black_hole(_writer: asyncio.StreamWriter) -> None:
    await asyncio.Event().wait()


async def reset(writer: asyncio.StreamWriter) -> None:
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)


async def garbage(writer: asyncio.StreamWriter) -> None:
    writer.write(os.urandom(4096))
    await writer.drain()


async def flood(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % FLOOD_BYTES)
    for _ in range(FLOOD_BYTES // len(CHUNK)):
        writer.write(CHUNK)
        await writer.drain()


WAYS = {"black-hole": black_hole, "reset": reset, "garbage": garbage, "flood": flood}


async def serve(port: int, way: str) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                if not head.startswith(b"GET / "):
                    await WAYS[way](writer)
                    return
                writer.write(GOOD)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", port, backlog=1024)
    await server.serve_forever()


def main() -> None:
    os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("way", choices=WAYS)
    parser.add_argument("--port", type=int, required=True)
    options = parser.parse_args()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(options.port, options.way))


if __name__ == "__main__":
    main()
