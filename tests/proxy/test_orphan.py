"""A proxy without a control process ends in time."""

import subprocess
import sys

import pytest

HANGS = """
import sys
from router.proxy.orphan import end_in_time_after
end_in_time_after(int(sys.argv[1]), lambda: 0.05)
print("up", flush=True)
while True:
    pass
"""


@pytest.fixture
def parent():
    """A process to end."""
    with subprocess.Popen(["sleep", "600"]) as sleeping:
        yield sleeping
        sleeping.kill()


def test_a_process_that_hangs_is_killed_when_the_other_has_ended(parent: subprocess.Popen[bytes]) -> None:
    """Though its main thread does nothing but compute."""
    with subprocess.Popen([sys.executable, "-c", HANGS, str(parent.pid)], stdout=subprocess.PIPE) as hanging:
        assert hanging.stdout is not None
        assert hanging.stdout.readline() == b"up\n"
        assert hanging.poll() is None
        parent.kill()
        assert hanging.wait() == -9
