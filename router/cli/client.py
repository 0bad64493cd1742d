"""Finding the daemon and talking to it over its Unix socket."""

import json
import os
import socket
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from http.client import HTTPConnection, HTTPException, HTTPResponse
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from router.cli.errors import DaemonGone, Interrupted, Refused
from router.control.admin_socket import connect_to, socket_path

#: Where a daemon keeps its state if nobody says otherwise: beside the default config, here, or as a system service.
DEFAULT_PLACES = (Path("config/.teal"), Path(".teal"), Path("/var/lib/teal"))
_TIMEOUT_S = 10.0
#: A change reads, checks and writes the whole config file, after those that were asked for before; content is unpacked
#: and written to the disk.
_CHANGE_TIMEOUT_S = 120.0
_BLOCK_BYTES = 2**16
_RETRY_S = 0.05
#: Of a refusal that is no JSON: characters that are shown.
_SHOWN = 500
#: What to do about a refusal whose text does not say it, by its reason.
_ADVICE: Mapping[str, str] = {
    "too_many_connections": "`ss -xp` shows who calls; `admin.max_connections` in the config is how many may",
    "head_timeout": "the machine is too busy to send a request in time: try again, or raise `admin.head_timeout_s`",
    "body_timeout": "the machine is too busy to send it in time: try again, or raise `admin.body_timeout_s`",
    "internal_error": "`teal events` shows its log; please report what is there",
}
_ANOTHER_TEAL = "the daemon may be of another version of teal: `teal status` says which, `teal --version` is this one"


class Daemon:
    """The daemon that listens on a socket.

    Args:
        option: How the user said which one it is, for commands that are suggested; empty if it was found.
    """

    def __init__(self, socket: Path, option: str = "") -> None:
        self._socket = socket
        self.option = option

    def get(self, target: str) -> bytes:
        """The body of a page of the admin site.

        Raises:
            DaemonGone: it does not answer.
            Refused: it answers why not.
        """
        with self._answer("GET", target, timeout_s=_TIMEOUT_S) as response:
            return response.read()

    def ask(self, method: str, target: str, body: Mapping[str, object] | None = None, *, wait_s: float = 0) -> Any:
        """The JSON that the admin API answers; None if it is empty.

        Args:
            wait_s: Seconds that the daemon may take because the target says so.

        Raises:
            DaemonGone: it does not answer.
            Refused: it answers why not.
            Interrupted: Ctrl-C, while something was to be changed.
        """
        timeout_s = (_TIMEOUT_S if method == "GET" else _CHANGE_TIMEOUT_S) + wait_s
        sent = None if body is None else json.dumps(body).encode()
        headers = {"content-type": "application/json"} if sent is not None else {}
        try:
            with self._answer(method, target, sent, headers, timeout_s=timeout_s) as response:
                answer = response.read()
        except KeyboardInterrupt as error:
            if method == "GET":
                raise
            raise Interrupted(["interrupted before the daemon answered; it may have done it, or go on"]) from error
        try:
            return json.loads(answer) if answer else None
        except ValueError as error:
            raise Refused([f"the teal daemon at {self._socket} answers {target} with something else"]) from error

    def stream(self, target: str) -> Iterator[bytes]:
        """A body as it comes, for as long as it does.

        Raises:
            DaemonGone: it does not answer, or has gone before the end.
            Refused: it answers why not.
        """
        with self._answer("GET", target, timeout_s=None) as response:
            while block := response.read1(_BLOCK_BYTES):
                yield block

    def has_content(self, digest: str) -> bool:
        """Whether it has a copy of a content."""
        connection = _UnixConnection(self._socket, _TIMEOUT_S)
        with self._talking(connection):
            connection.request("HEAD", target("content", digest))
            response = connection.getresponse()
            response.read()
            return response.status == 200

    def put_content(self, digest: str, blocks: Iterable[bytes]) -> None:
        """Send a content as a tar stream.

        Raises:
            DaemonGone: it does not answer.
            Refused: it does not take it; `blocks` may raise what it likes.
        """
        with self._answer("PUT", target("content", digest), blocks, timeout_s=_CHANGE_TIMEOUT_S) as response:
            response.read()

    @contextmanager
    def _answer(
        self,
        method: str,
        target: str,
        body: bytes | Iterable[bytes] | None = None,
        headers: Mapping[str, str] = {},
        *,
        timeout_s: float | None,
    ) -> Iterator[HTTPResponse]:
        connection = _UnixConnection(self._socket, timeout_s)
        with self._talking(connection):
            # A daemon that refuses what it has seen of a body does not take the rest, and may have said why.
            with suppress(BrokenPipeError, ConnectionResetError):
                connection.request(method, target, body, headers)
            response = connection.getresponse()
            if not 200 <= response.status < 300:
                raise self._refusal(response, f"{method} {target}")
            yield response

    @contextmanager
    def _talking(self, connection: HTTPConnection) -> Iterator[None]:
        try:
            yield
        except (OSError, HTTPException) as error:
            raise _gone(self._socket, error) from error
        finally:
            connection.close()

    def _refusal(self, response: HTTPResponse, asked: str) -> Refused:
        body, reason = response.read(), response.getheader("x-teal-reason", "")
        advised = [_ADVICE[reason]] if reason in _ADVICE else []
        try:
            error = json.loads(body)["error"]
            problems, message = [problem["text"] for problem in error["problems"]], error["message"]
            return Refused([*problems, *([] if message == "; ".join(problems) else [message]), *advised])
        except (ValueError, LookupError, TypeError):
            status = f"{response.status} ({reason})" if reason else str(response.status)
            text = " ".join(body.decode(errors="replace").split())[:_SHOWN] or response.reason
            advised += [_ANOTHER_TEAL] if response.status == 404 else []
            return Refused([f"the teal daemon at {self._socket} answers {status} to {asked}: {text}", *advised])


def target(*parts: str, **query: object) -> str:
    """The target of something in the admin API; parts of the query that are None are left out."""
    path = "/".join(["/v1", *(quote(part, safe="") for part in parts)])
    given = {name: value for name, value in query.items() if value is not None}
    return f"{path}?{urlencode(given)}" if given else path


def find_daemon(state_dir: str | None) -> Daemon:
    """The daemon with this state directory, else that of `$TEAL_STATE_DIR`, else the first of the default places.

    Raises:
        NoDaemon: no daemon listens there.
        DaemonGone: one does, and does not take our connection.
        Refused: we may not talk to it.
    """
    option = f" --state-dir {state_dir}" if state_dir else ""
    places = state_places(state_dir)
    for place in places:
        path = socket_path(place)
        try:
            _connect(path).close()
        except PermissionError as error:
            raise Refused([f"{path}: permission denied; become the user, or join the group, of teal"]) from error
        except (FileNotFoundError, NotADirectoryError, ConnectionRefusedError):
            continue
        except OSError as error:
            raise _gone(path, error) from error
        return Daemon(path, option)
    looked = ", ".join(map(str, places))
    start = f" --state-dir {places[0]}" if len(places) == 1 else ""
    raise NoDaemon([f"no teal daemon is running (looked in {looked}); start one with: teal serve{start}"])


class NoDaemon(Refused):
    """No daemon listens where it was looked for."""


def state_places(state_dir: str | None) -> tuple[Path, ...]:
    """Where state is looked for: in the directory that is named, or in the default places."""
    named = state_dir or os.environ.get("TEAL_STATE_DIR")
    return (Path(named),) if named else DEFAULT_PLACES


def _connect(path: Path) -> socket.socket:
    """A connection to the daemon; one that is busy gets time to take it.

    Raises:
        OSError: there is none, or it takes none.
    """
    until = time.monotonic() + _TIMEOUT_S
    while True:
        try:
            return connect_to(path, _TIMEOUT_S)
        except BlockingIOError as error:  # a Unix socket does not wait for a place in the queue
            if time.monotonic() >= until:
                raise TimeoutError("it is busy, and takes no connection") from error
            time.sleep(_RETRY_S)


def _gone(path: Path, error: Exception) -> DaemonGone:
    reason = str(error) or type(error).__name__
    return DaemonGone([f"the teal daemon at {path} does not answer: {reason}"])


class _UnixConnection(HTTPConnection):
    sock: socket.socket

    def __init__(self, path: Path, timeout_s: float | None) -> None:
        super().__init__("teal", timeout=timeout_s)
        self._path = path

    def connect(self) -> None:
        self.sock = _connect(self._path)
        self.sock.settimeout(self.timeout)
