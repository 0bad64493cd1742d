"""The floor for anything in Python on uvloop: a protocol that answers every read with the same bytes, unparsed.

It takes one read for one request, which holds for a closed loop of small requests and for nothing else.
"""

import argparse
import asyncio
from pathlib import Path

import uvloop

BODY = b'{"result":[0.25,0.75],"received":430}'
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(BODY) + BODY


class Constant(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._transport.write(ANSWER)  # type: ignore[attr-defined]  # uvloop's transports derive from nothing


async def serve(path: Path) -> None:
    server = await asyncio.get_running_loop().create_unix_server(Constant, str(path), backlog=1024)
    await server.serve_forever()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--listen", type=Path, required=True, metavar="PATH", help="Unix socket")
    uvloop.run(serve(parser.parse_args().listen))


if __name__ == "__main__":
    main()
