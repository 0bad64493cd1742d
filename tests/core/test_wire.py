"""Frames between the control process and a proxy."""

import msgspec
import pytest

from router.core.stats import Totals
from router.core.table import DeploymentSpec, EndpointSpec, InstanceSpec, TableSpec
from router.core.wire import (
    Applied,
    Apply,
    Cover,
    Down,
    Drain,
    Encrypt,
    FrameReader,
    ProxyLimits,
    Stats,
    decode_down,
    decode_up,
    frame,
)


def table() -> TableSpec:
    blue = DeploymentSpec(name="blue", instances=(InstanceSpec(address="unix:/run/b.sock", is_ready=False),))
    spec = EndpointSpec(name="churn", key_digests=(b"\x00\xff" * 16,), traffic=(("blue", 100.0),), deployments=(blue,))
    return TableSpec(generation=3, endpoints=(spec,))


@pytest.mark.parametrize(
    "message",
    [
        Apply(table(), ProxyLimits(access_log=False)),
        Encrypt(is_on=True, certificate=b"-----BEGIN", key=b"-----BEGIN PRIVATE"),
        Cover(fds=(7, 8)),
        Drain(),
        Drain(hurry=True),
    ],
    ids=["apply", "encrypt", "cover", "drain", "hurry"],
)
def test_a_message_down_arrives_as_it_was_sent(message: Down) -> None:
    """What a frame carries decodes to an equal message."""
    [payload] = FrameReader().feed(frame(message))
    assert decode_down(payload) == message


def test_messages_up_arrive_as_they_were_sent() -> None:
    """Counters travel with their integer keys."""
    totals = Totals()
    totals.endpoint("churn").refused[401] = 2
    stats = Stats(generation=3, totals=totals, busy={"unix:/run/b.sock": 1}, ejected=("unix:/run/b.sock",))
    payloads = list(FrameReader().feed(frame(Applied(3)) + frame(stats)))
    assert [decode_up(payload) for payload in payloads] == [Applied(3), stats]


STREAM = frame(Drain()) + frame(Applied(7)) + frame(Drain(hurry=True))


@pytest.mark.parametrize("cut", range(len(STREAM) + 1))
def test_frames_survive_every_split(cut: int) -> None:
    """Wherever the stream is cut in two, the same payloads come out."""
    reader = FrameReader()
    payloads = [*reader.feed(STREAM[:cut]), *reader.feed(STREAM[cut:])]
    assert [decode_down(payloads[0]), decode_up(payloads[1]), decode_down(payloads[2])] == [
        Drain(),
        Applied(7),
        Drain(hurry=True),
    ]


def test_frames_survive_single_bytes() -> None:
    """A stream that comes byte by byte yields the same."""
    reader = FrameReader()
    payloads = [payload for i in range(len(STREAM)) for payload in reader.feed(STREAM[i : i + 1])]
    assert len(payloads) == 3


def test_an_empty_frame_is_a_payload() -> None:
    """Length 0 frames nothing, and is not waited for."""
    assert list(FrameReader().feed(bytes(4))) == [b""]


@pytest.mark.parametrize("length", [256 * 2**20 + 1, 2**32 - 1])
def test_a_length_that_no_message_has_is_refused(length: int) -> None:
    """A stream out of step is noticed before it is waited for."""
    with pytest.raises(ValueError, match=f"frame of {length} bytes"):
        list(FrameReader().feed(length.to_bytes(4, "big")))


@pytest.mark.parametrize("payload", [b"", b"\xc1", b"\x80", msgspec.msgpack.encode({"type": "Explode"})])
def test_a_payload_that_is_no_message_is_refused(payload: bytes) -> None:
    """Anything but a known message is an error."""
    with pytest.raises(msgspec.DecodeError):
        decode_down(payload)


def test_a_key_is_not_printed() -> None:
    """Whatever prints a message: a log, a traceback, a debugger."""
    message = Encrypt(is_on=True, certificate=b"certificate", key=b"very secret")
    assert repr(message) == "Encrypt(is_on=True, 11 bytes of certificate)"
