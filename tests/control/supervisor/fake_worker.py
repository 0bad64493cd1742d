"""A worker that keeps the supervisor's contract and little else; copied to `workers/__main__.py` by the fixtures."""

import argparse
import contextlib
import ctypes
import os
import runpy
import signal
import socket
import sys
import traceback
from pathlib import Path

parser = argparse.ArgumentParser()
parser.add_argument("--script")
parser.add_argument("--code-dir")
parser.add_argument("--model-dir")
parser.add_argument("--fd", type=int)
parser.add_argument("--watch-parent", type=int)
options, _ = parser.parse_known_args()

ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
if options.model_dir:
    os.environ["AZUREML_MODEL_DIR"] = options.model_dir

notifications = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
notifications.connect(os.environ["NOTIFY_SOCKET"])


def notify(text: str) -> None:
    with contextlib.suppress(ConnectionError, FileNotFoundError):
        notifications.send(text.encode())


try:
    runpy.run_path(options.script)["init"]()
except Exception as error:  # noqa: BLE001 -- whatever init() raises
    traceback.print_exc()
    notify(f"STATUS=init() raised {type(error).__name__}: {error}")
    sys.exit(3)

listener = socket.socket(fileno=options.fd)
listener.settimeout(0.1)
notify(f"READY=1\nMAINPID={os.getpid()}")
while True:
    if not Path(options.code_dir, "silent").exists():
        notify("WATCHDOG=1")
    try:
        client, _ = listener.accept()
    except TimeoutError:
        continue
    with client:
        client.recv(65536)
        status = "500 Unwell" if Path(options.code_dir, "unwell").exists() else "200 OK"
        client.sendall(f"HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode())
