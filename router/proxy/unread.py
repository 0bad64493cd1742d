"""What clients have not read of what they were sent, and the end of those who do not read: nothing is kept for them."""

import fcntl
import socket
import struct
import termios
from asyncio import Transport
from contextlib import suppress

_AT_ONCE = struct.pack("ii", 1, 0)
_NONE = struct.pack("i", 0)


def has_unread(transport: Transport) -> bool:
    """Whether the client's host has not acknowledged all that was written."""
    if transport.get_write_buffer_size():
        return True
    connection = transport.get_extra_info("socket")
    if connection is None:
        return False
    try:
        return fcntl.ioctl(connection.fileno(), termios.TIOCOUTQ, _NONE) != _NONE
    except OSError:  # it is closed already
        return False


def reset(transport: Transport) -> None:
    """Close at once, by a reset: a mere close would leave the kernel to offer the client what it does not take."""
    connection = transport.get_extra_info("socket")
    if connection is not None:
        with suppress(OSError):  # it is closed already
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)
    transport.abort()
