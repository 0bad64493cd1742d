"""Makes a corpus of the raw cases: `python -m tests.fuzz.seed FOLDER`."""

import hashlib
import sys
from collections.abc import Iterator
from pathlib import Path

from tests.proxy.conftest import KEY, PATH, post
from tests.proxy.raw_cases import FORWARDED, GARBAGE, REFUSED, REFUSED_HEADS, SMUGGLED
from tests.proxy.test_lanes_agree import ANSWERS
from tests.proxy.upgrades import SWITCHED, get

_MAX_BYTES = 2048


def requests() -> Iterator[bytes]:
    """What clients send, whole and cut."""
    cases = [case.raw for case in (*REFUSED, *REFUSED_HEADS, *FORWARDED)]
    plain = post(b"{}", "Content-Type: application/json", "x-ms-client-request-id: a b")
    cases += [plain, plain + plain, plain + SMUGGLED, get(), get() + b"x", post(b"{}", "Expect: 100-continue")]
    cases += [post(key="wrong"), post(path="/nothing"), post(path=PATH + "?q=%20"), post(b"{}", f"X-Key: {KEY}")]
    cases += [post(b"{}", "Keep-Alive: 5", "Proxy-Connection: x", "X-Hop: 1", "Connection: keep-alive")]
    cases += [post(b"{}", "TE: trailers", "Trailer: X-A", "Connection: X-Hop, TE", "X-Hop: 1")]
    cases += [post(b"{}", "azureml-model-deployment: blue"), post(b"{}", "Connection: close")]
    chunked = [
        post(b"1\r\nx\r\n0\r\n" + end, "Transfer-Encoding: chunked") for end in (b"\r\n", b"X-A: 1\r\nX-B: 2\r\n\r\n")
    ]
    cases += [first + then for first in chunked for then in (plain, b"".join(chunked), SMUGGLED + b"\r\n" + plain)]
    for case in cases:
        yield b"\x00" + case
        yield b"\x02\x60\xfe" + case


def answers() -> Iterator[bytes]:
    """What instances say, to each of four requests."""
    for number, case in enumerate([*(case.raw for case in GARBAGE), *ANSWERS, SWITCHED + b"surplus"]):
        yield bytes((number << 2 & 12,)) + case
        yield bytes((number + 1 << 2 & 12 | 1, 0x80)) + case
        yield b"\x0c" + case


def main(folder: Path) -> None:
    for kind, cases in (("requests", requests()), ("answers", answers())):
        (folder / kind).mkdir(parents=True, exist_ok=True)
        for case in cases:
            if len(case) <= _MAX_BYTES:
                (folder / kind / hashlib.sha256(case).hexdigest()[:16]).write_bytes(case)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
