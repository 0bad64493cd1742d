"""A file system that really hangs when it is told to: a folder behind FUSE, whose server stops answering.

`python hanging_disk.py MOUNT FOLDER` is that server. It speaks the kernel's own protocol (linux/fuse.h), so
that nothing needs to be installed; to mount takes root. While it hangs, whoever asks for anything below it waits in the
kernel, as with a network file system whose server is gone, and can still be killed.
"""

import contextlib
import ctypes
import errno
import os
import select
import stat
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Self

_ROOT = 1
_MAX_WRITE = 128 * 1024
_BUFFER_BYTES = _MAX_WRITE + 4096
_MNT_DETACH = 2
_BIG_WRITES = 1 << 5
_BY_HANDLE = 1
_SET_MODE, _SET_UID, _SET_GID, _SET_SIZE, _SET_ATIME, _SET_MTIME, _SET_BY_HANDLE = 1, 2, 4, 8, 16, 32, 64
_REQUEST = struct.Struct("<IIQQIIIHH")
_ANSWER = struct.Struct("<IiQ")
_ATTRIBUTES = struct.Struct("<6Q10I")
_NO_ANSWER = frozenset((2, 36, 42))  # FORGET, INTERRUPT, BATCH_FORGET


class NoHangingDisk(Exception):
    """It cannot be had here; the message says why."""


class HangingDisk:
    """A folder at `mount`, until the block ends.

    Args:
        folder: Where all that is written lies; it does not hang.

    Raises:
        NoHangingDisk: on entry; this user may not mount, or the kernel has no FUSE.
    """

    def __init__(self, mount: Path, folder: Path) -> None:
        self.mount = mount
        self._folder = folder
        self._server: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        for path in (self.mount, self._folder):
            path.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, __file__, str(self.mount), str(self._folder)]
        self._server = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True)
        assert self._server.stdout is not None
        said = self._server.stdout.readline().decode().strip()
        if said != "mounted":
            self.__exit__()
            raise NoHangingDisk(f"no file system that hangs: {said}")
        # The kernel learns that the server has no use for FLUSH: even a process that was killed would wait for its end.
        (self.mount / "closed").touch()
        (self.mount / "closed").unlink()
        return self

    def __exit__(self, *_: object) -> None:
        assert self._server is not None
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        self._server.stdin.close()  # it ends, and whoever waits gets an error
        self._server.wait()
        self._server.stdout.close()

    def hang(self) -> None:
        """Answer nothing any more."""
        self._tell(b"h")

    def go_on(self) -> None:
        """Answer again, first what was asked meanwhile."""
        self._tell(b"g")

    def _tell(self, what: bytes) -> None:
        assert self._server is not None
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        self._server.stdin.write(what)
        self._server.stdin.flush()
        self._server.stdout.readline()


class _Server:
    """Answers for the files below `folder`, one request at a time."""

    def __init__(self, fd: int, folder: Path) -> None:
        self._fd = fd
        self._paths = {_ROOT: folder}
        self._nodes = {folder: _ROOT}
        self._operations: dict[int, Callable[[int, bytes], bytes]] = {
            1: self._look_up, 3: self._attributes, 4: self._set, 5: self._read_link, 6: self._link_to,
            8: self._make_node, 9: self._make_folder, 10: self._unlink, 11: self._remove, 12: self._rename,
            14: self._open, 15: self._read, 16: self._write, 17: self._space, 18: self._release, 20: self._nothing,
            26: self._begin, 27: self._open_folder, 28: self._list, 29: self._nothing, 30: self._nothing,
            35: self._create,
        }  # fmt: skip

    def serve(self) -> None:
        """Answer until standard input ends; `h` and `g` in it say when to hang and when to go on."""
        while True:
            ready, _, _ = select.select([0, self._fd], [], [])
            if 0 in ready:
                # Never with a request in hand: whoever waits for an answer to that could not be killed.
                while (said := os.read(0, 1)) == b"h":
                    print("hangs", flush=True)
                if not said:
                    return
                print("goes on", flush=True)
            elif not self._answer_next():
                return

    def _answer_next(self) -> bool:
        try:
            request = os.read(self._fd, _BUFFER_BYTES)
        except OSError as error:
            return error.errno in {errno.ENOENT, errno.EINTR, errno.EAGAIN}  # taken back; ENODEV: unmounted
        _, code, unique, node, *_ = _REQUEST.unpack_from(request)
        if code in _NO_ANSWER:
            return True
        try:
            operation = self._operations.get(code, _unknown)
            content, error_number = operation(node, request[_REQUEST.size :]), 0
        except OSError as error:
            content, error_number = b"", error.errno or errno.EIO
        with contextlib.suppress(FileNotFoundError):  # whoever asked was killed meanwhile
            os.write(self._fd, _ANSWER.pack(_ANSWER.size + len(content), -error_number, unique) + content)
        return True

    # Names

    def _child(self, node: int, name: bytes) -> Path:
        return self._paths[node] / os.fsdecode(name)

    def _entry(self, path: Path) -> bytes:
        status = path.lstat()
        node = self._nodes.get(path)
        if node is None:
            node = self._nodes[path] = max(self._paths) + 1
            self._paths[node] = path
        return struct.pack("<QQQQII", node, 0, 0, 0, 0, 0) + _attributes(status, node)

    def _look_up(self, node: int, body: bytes) -> bytes:
        return self._entry(self._child(node, body[:-1]))

    def _forget(self, path: Path) -> None:
        self._nodes.pop(path, None)  # by its number it is known as long as it is open

    def _rename(self, node: int, body: bytes) -> bytes:
        (to,) = struct.unpack_from("<Q", body)
        old_name, new_name, _ = body[8:].split(b"\0")
        old, new = self._child(node, old_name), self._child(to, new_name)
        old.rename(new)
        self._forget(new)
        for path in [path for path in self._nodes if path.is_relative_to(old)]:
            number = self._nodes.pop(path)
            self._paths[number] = new / path.relative_to(old)
            self._nodes[self._paths[number]] = number
        return b""

    def _unlink(self, node: int, body: bytes) -> bytes:
        path = self._child(node, body[:-1])
        path.unlink()
        self._forget(path)
        return b""

    def _remove(self, node: int, body: bytes) -> bytes:
        path = self._child(node, body[:-1])
        path.rmdir()
        self._forget(path)
        return b""

    def _make_node(self, node: int, body: bytes) -> bytes:
        mode, device, _, _ = struct.unpack_from("<4I", body)
        path = self._child(node, body[16:-1])
        os.mknod(path, mode, device)
        return self._entry(path)

    def _make_folder(self, node: int, body: bytes) -> bytes:
        mode, _ = struct.unpack_from("<2I", body)
        path = self._child(node, body[8:-1])
        path.mkdir(mode)
        return self._entry(path)

    def _link_to(self, node: int, body: bytes) -> bytes:
        name, target, _ = body.split(b"\0")
        path = self._child(node, name)
        path.symlink_to(os.fsdecode(target))
        return self._entry(path)

    def _read_link(self, node: int, _body: bytes) -> bytes:
        return os.fsencode(self._paths[node].readlink())

    # Files

    def _attributes(self, node: int, body: bytes) -> bytes:
        flags, _, handle = struct.unpack_from("<IIQ", body)
        status = os.fstat(handle) if flags & _BY_HANDLE else self._paths[node].lstat()
        return struct.pack("<QII", 0, 0, 0) + _attributes(status, node)

    def _set(self, node: int, body: bytes) -> bytes:
        valid, _, handle, size, _, atime, mtime = struct.unpack_from("<IIQQQQQ", body)
        mode, _, uid, gid = struct.unpack_from("<4I", body, 68)
        path = self._paths[node]
        target: int | Path = handle if valid & _SET_BY_HANDLE else path
        if valid & _SET_MODE:
            os.chmod(target, stat.S_IMODE(mode))  # noqa: PTH101 - or a descriptor
        if valid & (_SET_UID | _SET_GID):
            os.chown(target, uid if valid & _SET_UID else -1, gid if valid & _SET_GID else -1)
        if valid & _SET_SIZE:
            os.truncate(target, size)
        if valid & (_SET_ATIME | _SET_MTIME):
            os.utime(target, (atime, mtime))
        status = os.fstat(target) if isinstance(target, int) else target.lstat()
        return struct.pack("<QII", 0, 0, 0) + _attributes(status, node)

    def _create(self, node: int, body: bytes) -> bytes:
        flags, mode, _, _ = struct.unpack_from("<4I", body)
        path = self._child(node, body[16:-1])
        handle = os.open(path, (flags & ~(os.O_APPEND | os.O_ACCMODE)) | os.O_RDWR | os.O_CREAT, stat.S_IMODE(mode))
        return self._entry(path) + struct.pack("<QII", handle, 0, 0)

    def _open(self, node: int, body: bytes) -> bytes:
        (flags,) = struct.unpack_from("<I", body)
        # A page that was written in part is read first, whatever its writer asked for.
        access = os.O_RDONLY if flags & os.O_ACCMODE == os.O_RDONLY else os.O_RDWR
        return struct.pack("<QII", os.open(self._paths[node], access), 0, 0)

    def _read(self, _node: int, body: bytes) -> bytes:
        handle, offset, size = struct.unpack_from("<QQI", body)
        return os.pread(handle, size, offset)

    def _write(self, _node: int, body: bytes) -> bytes:
        handle, offset, size = struct.unpack_from("<QQI", body)
        return struct.pack("<II", os.pwrite(handle, body[40 : 40 + size], offset), 0)

    def _release(self, _node: int, body: bytes) -> bytes:
        os.close(struct.unpack_from("<Q", body)[0])
        return b""

    def _list(self, node: int, body: bytes) -> bytes:
        _, offset, size = struct.unpack_from("<QQI", body)
        entries = b""
        for place, path in enumerate(sorted(self._paths[node].iterdir())[offset:], start=offset + 1):
            raw = os.fsencode(path.name)
            entry = struct.pack("<QQII", 2**32 - 1, place, len(raw), 0) + raw
            entry += bytes(-len(entry) % 8)
            if len(entries) + len(entry) > size:
                break
            entries += entry
        return entries

    def _space(self, _node: int, _body: bytes) -> bytes:
        found = os.statvfs(self._paths[_ROOT])
        numbers = (found.f_blocks, found.f_bfree, found.f_bavail, found.f_files, found.f_ffree)
        return struct.pack("<5Q4I24x", *numbers, found.f_bsize, found.f_namemax, found.f_frsize, 0)

    def _begin(self, _node: int, body: bytes) -> bytes:
        major, minor, read_ahead, flags = struct.unpack_from("<4I", body)
        return struct.pack("<4IHHII32x", major, min(minor, 31), read_ahead, flags & _BIG_WRITES, 0, 0, _MAX_WRITE, 1)

    def _nothing(self, _node: int, _body: bytes) -> bytes:
        return b""

    def _open_folder(self, _node: int, _body: bytes) -> bytes:
        return bytes(16)


def _unknown(_node: int, _body: bytes) -> bytes:
    raise OSError(errno.ENOSYS, "not needed by anybody so far")


def _attributes(status: os.stat_result, node: int) -> bytes:
    times = (status.st_atime_ns, status.st_mtime_ns, status.st_ctime_ns)
    return _ATTRIBUTES.pack(
        *(node, status.st_size, status.st_blocks),
        *(time // 10**9 for time in times),
        *(time % 10**9 for time in times),
        *(status.st_mode, status.st_nlink, status.st_uid, status.st_gid, status.st_rdev, 4096, 0),
    )


def _mounted(mount: str) -> int:
    """The descriptor by which the kernel asks."""
    fd = os.open("/dev/fuse", os.O_RDWR)
    options = f"fd={fd},rootmode=40000,user_id={os.getuid()},group_id={os.getgid()},allow_other,default_permissions"
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mount(b"teal", os.fsencode(mount), b"fuse", 0, options.encode()) != 0:
        raise OSError(ctypes.get_errno(), f"mount: {os.strerror(ctypes.get_errno())}")
    return fd


def main() -> None:
    mount, folder = sys.argv[1:]
    try:
        fd = _mounted(mount)
    except OSError as error:
        print(error, flush=True)
        return
    print("mounted", flush=True)
    try:
        _Server(fd, Path(folder)).serve()
    finally:
        ctypes.CDLL(None).umount2(os.fsencode(mount), _MNT_DETACH)
        os.close(fd)  # ends what still waits


if __name__ == "__main__":
    main()
