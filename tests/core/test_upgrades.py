"""Which offers to switch go on, and which answers take one."""

import pytest

from router.core.upgrades import carries_http, is_protocol, offered_upgrades, upgrade_taken

OFFER = ((b"Connection", b"keep-alive, Upgrade"), (b"Upgrade", b"websocket"))


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        (OFFER, (b"websocket",)),
        (((b"CONNECTION", b"upgrade"), (b"UPGRADE", b"WebSocket/13, echo,x")), (b"WebSocket/13",)),
        (
            ((b"Connection", b"a"), (b"Connection", b"upgrade"), (b"Upgrade", b"x"), (b"Upgrade", b"chat/2")),
            (b"chat/2",),
        ),
        (((b"Connection", b"upgrade"), (b"Upgrade", b"chat/3")), ()),
        (((b"Connection", b"upgrade"), (b"Upgrade", b"chat")), ()),
        (((b"Connection", b"upgrade"), (b"Upgrade", b"\xff, ,")), ()),
        (((b"Connection", b"upgraded"), (b"Upgrade", b"websocket")), ()),
        (((b"Upgrade", b"websocket"),), ()),
        (((b"Connection", b"upgrade"),), ()),
        ((*OFFER, (b"Content-Length", b"0")), (b"websocket",)),
        ((*OFFER, (b"Content-Length", b"1")), ()),
        ((*OFFER, (b"Transfer-Encoding", b"chunked")), ()),
    ],
)
def test_an_offer_goes_on_if_it_is_plain(headers: tuple[tuple[bytes, bytes], ...], expected: tuple[bytes, ...]) -> None:
    """Made for this hop, without a body, and of a protocol that is passed on, in all versions or that one."""
    assert offered_upgrades(headers, ("websocket", "chat/2")) == expected


def test_no_offer_goes_on_where_none_is_passed_on() -> None:
    """Whatever it is."""
    assert offered_upgrades(OFFER, ()) == ()


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        (((b"connection", b"upgrade"), (b"upgrade", b"WebSocket")), b"WebSocket"),
        (((b"Connection", b"upgrade"), (b"Upgrade", b"chat/2")), b"chat/2"),
        (((b"Connection", b"upgrade"), (b"Upgrade", b"chat")), None),
        (((b"Connection", b"upgrade"), (b"Upgrade", b"websocket, chat/2")), None),
        (((b"Connection", b"upgrade"), (b"Upgrade", b"h2c")), None),
        (((b"Connection", b"upgrade"),), None),
        (((b"Upgrade", b"websocket"),), None),
    ],
)
def test_an_answer_takes_one_of_what_was_offered(
    headers: tuple[tuple[bytes, bytes], ...], expected: bytes | None
) -> None:
    """One, and nothing else (RFC 9110, 7.8)."""
    assert upgrade_taken(headers, (b"websocket", b"chat/2")) == expected


@pytest.mark.parametrize("text", ["h2c", "H2C", "h2", "HTTP/2.0", "TLS/1.2", "h3"])
def test_some_protocols_carry_http(text: str) -> None:
    """In any spelling and version."""
    assert carries_http(text)


def test_a_protocol_is_a_name_with_or_without_a_version() -> None:
    """Nothing that could end the field."""
    assert [is_protocol(text) for text in ("websocket", "IRC/6.9", "", "a b", "a/", "a/b/c", "a\n")] == [
        True, True, False, False, False, False, False,
    ]  # fmt: skip
