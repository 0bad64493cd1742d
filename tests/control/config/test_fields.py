"""The kinds of values that fields have."""

from pathlib import Path

import pytest
from pydantic import TypeAdapter, ValidationError

from router.control.config.fields import Address, Bytes, FilePath, Network, Protocol, Target, Upstream


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (5, 5),
        ("5", 5),
        ("512MB", 512_000_000),
        ("2GiB", 2_147_483_648),
        ("1.5 kb", 1500),
        ("1k", 1000),
        ("1Ki", 1024),
        ("100 MiB", 104_857_600),
        ("1TB", 1_000_000_000_000),
    ],
)
def test_sizes(written: object, expected: int) -> None:
    """A number of bytes, or text with a decimal or binary unit in any case."""
    assert TypeAdapter(Bytes).validate_python(written, strict=True) == expected


@pytest.mark.parametrize("written", ["", "MB", "5XB", "-5", "1e3", "5 5", "0x10", "1.MB"])
def test_text_that_is_no_size_is_refused(written: str) -> None:
    """With an example of what would be."""
    with pytest.raises(ValidationError, match="is not a size; expected bytes such as 1000000, or 512MB, 2GiB"):
        TypeAdapter(Bytes).validate_python(written)


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("http://127.0.0.1:9100", "http://127.0.0.1:9100"),
        ("http://127.0.0.1:9100/", "http://127.0.0.1:9100"),
        ("http://gpu-1.example", "http://gpu-1.example:80"),
        ("http://[::1]:9100", "http://[::1]:9100"),
        ("http://[::1]", "http://[::1]:80"),
        ("unix:/run/green.sock", "unix:/run/green.sock"),
    ],
)
def test_upstreams_have_one_spelling(written: str, expected: str) -> None:
    """With the port, without a path."""
    assert TypeAdapter(Upstream).validate_python(written) == expected


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ("https://x:443", "https upstreams are not supported yet"),
        ("unix:run/green.sock", "expected an absolute path after unix:"),
        ("127.0.0.1:9100", "is not an upstream"),
        ("http://x:1/v2", "a path is scoring_path"),
        ("http://x:0", "is not an upstream"),
        ("http://x:99999", "is not an upstream"),
        ("http://user:pass@x:1", "is not an upstream"),
        ("http://", "is not an upstream"),
        ("http://x:1?a", "is not an upstream"),
        ("http://[::1", "is not an upstream"),
        ("", "is not an upstream"),
    ],
)
def test_any_other_upstream_is_refused(written: str, message: str) -> None:
    """With the reason."""
    with pytest.raises(ValidationError, match=message):
        TypeAdapter(Upstream).validate_python(written)


@pytest.mark.parametrize("written", ["", "web socket", "a/b/c", "a,b", "ä", "x\r\ny"])
def test_a_protocol_has_a_name(written: str) -> None:
    """As the field Upgrade lists it."""
    with pytest.raises(ValidationError, match="is not a protocol; expected a name"):
        TypeAdapter(Protocol).validate_python(written)


@pytest.mark.parametrize("written", ["h2c", "H2", "HTTP/2.0", "TLS/1.0", "h3"])
def test_a_protocol_that_carries_requests_is_refused(written: str) -> None:
    """They would pass the router unseen."""
    with pytest.raises(ValidationError, match="carries requests past the router"):
        TypeAdapter(Protocol).validate_python(written)


@pytest.mark.parametrize("written", ["", "score", "/a b", "/ä", "/a\r\nx: y"])
def test_a_target_is_a_path_that_may_stand_in_a_request_line(written: str) -> None:
    """Nothing that could end the line."""
    with pytest.raises(ValidationError, match="is not a path of a URL"):
        TypeAdapter(Target).validate_python(written)


@pytest.mark.parametrize("written", ["", "localhost", "10.0.0.0/33", "10.0.0.1/8", "10.0.0", "unix:/run/x.sock"])
def test_what_is_no_network_is_refused(written: str) -> None:
    """With the reason and examples; a network has no bits of a host in it."""
    with pytest.raises(ValidationError, match=r"is no address and no network: .*; expected such as 10\.1\.2\.3"):
        TypeAdapter(Network).validate_python(written)


def test_an_address_is_host_and_port() -> None:
    """The message shows one."""
    with pytest.raises(ValidationError, match="'8080' is not an address; expected HOST:PORT such as"):
        TypeAdapter(Address).validate_python("8080")


def test_paths_start_at_the_folder_of_the_context() -> None:
    """Or stay as they are without one; `~` is the user's home."""
    context = {"folder": Path("/conf")}
    assert TypeAdapter(FilePath).validate_python("a/../b", context=context) == Path("/conf/a/../b")
    assert TypeAdapter(FilePath).validate_python("/a", context=context) == Path("/a")
    assert TypeAdapter(FilePath).validate_python("~/a", context=context) == Path.home() / "a"
    assert TypeAdapter(FilePath).validate_python("a") == Path("a")


@pytest.mark.parametrize("written", ["azureml:m:1", "https://x/y", "azureml://datastores/x"])
def test_a_path_is_on_this_machine(written: str) -> None:
    """Cloud addresses are refused."""
    with pytest.raises(ValidationError, match="only files on this machine are served; expected a path"):
        TypeAdapter(FilePath).validate_python(written)
