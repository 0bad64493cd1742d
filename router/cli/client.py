"""Finding the daemon and talking to it over its Unix socket."""

import os
import socket
from http.client import HTTPConnection, HTTPException
from pathlib import Path

from router.cli.framework import Refused
from router.control.admin_socket import connect_to, socket_path

#: Where a daemon keeps its state if nobody says otherwise: beside the default config, here, or as a system service.
DEFAULT_PLACES = (Path("config/.teal"), Path(".teal"), Path("/var/lib/teal"))
_TIMEOUT_S = 10.0


class Daemon:
    """The daemon that listens on a socket."""

    def __init__(self, socket: Path) -> None:
        self._socket = socket

    def get(self, target: str) -> bytes:
        """The body of a page of the admin site.

        Raises:
            Refused: the daemon is gone, or does not answer as it should.
        """
        connection = _UnixConnection(self._socket)
        try:
            connection.request("GET", target)
            response = connection.getresponse()
            body = response.read()
        except (OSError, HTTPException) as error:
            raise Refused([f"the teal daemon at {self._socket} does not answer: {error}"]) from error
        finally:
            connection.close()
        if response.status != 200:
            raise Refused([f"the teal daemon at {self._socket} answers {response.status} to {target}"])
        return body


def find_daemon(state_dir: str | None) -> Daemon:
    """The daemon with this state directory, else that of `$TEAL_STATE_DIR`, else the first of the default places.

    Raises:
        Refused: no daemon listens there, or we may not talk to it.
    """
    named = state_dir or os.environ.get("TEAL_STATE_DIR")
    places = (Path(named),) if named else DEFAULT_PLACES
    for place in places:
        path = socket_path(place)
        try:
            connect_to(path, _TIMEOUT_S).close()
        except PermissionError as error:
            raise Refused([f"{path}: permission denied; become the user, or join the group, of teal"]) from error
        except OSError:
            continue
        return Daemon(path)
    looked = ", ".join(map(str, places))
    option = f" --state-dir {named}" if named else ""
    raise Refused([f"no teal daemon is running (looked in {looked}); start one with: teal serve{option}"])


class _UnixConnection(HTTPConnection):
    sock: socket.socket

    def __init__(self, path: Path) -> None:
        super().__init__("teal", timeout=_TIMEOUT_S)
        self._path = path

    def connect(self) -> None:
        self.sock = connect_to(self._path, _TIMEOUT_S)
