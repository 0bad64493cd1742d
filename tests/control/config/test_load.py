"""A config file is accepted, or refused with all its problems and their lines."""

import gc
import os
import textwrap
from pathlib import Path

import pytest

from router.control.config.load import ConfigError, load_config, load_content, parse_config

PATH = Path("config/teal.yaml")
UPSTREAM = "{upstreams: ['http://127.0.0.1:9100']}"


def problems(text: str | bytes) -> list[str]:
    content = text if isinstance(text, bytes) else textwrap.dedent(text).encode()
    with pytest.raises(ConfigError) as caught:
        parse_config(content, PATH)
    return [str(problem) for problem in caught.value.problems]


def in_endpoint(fields: str) -> str:
    return "endpoints:\n  churn:\n" + textwrap.indent(textwrap.dedent(fields), "    ")


def test_the_smallest_config_has_defaults() -> None:
    """Everything but endpoints may be left out."""
    config = parse_config("endpoints: {}", PATH)
    assert config.listen == ("127.0.0.1:8080",)
    assert config.admin.http == "127.0.0.1:8081"
    assert config.state_dir == Path.cwd() / "config" / ".teal"


def test_a_broken_rule_is_told_with_file_line_and_field() -> None:
    """The line that editors jump to, and what would be right."""
    text = in_endpoint(f"deployments: {{blue: {UPSTREAM}}}\n\ntraffic:\n  blue: 90\n")
    assert problems(text) == ["config/teal.yaml:5: churn.traffic: weights add up to 90, expected 0 or 100"]


def test_all_problems_are_told_at_once_in_the_order_of_lines() -> None:
    """Wrong shapes and broken rules together; rules run on the endpoints whose shape is right."""
    text = """
    listen: 8080
    endpoints:
      first:
        idempotnt: true
      second:
        traffic: {blue: 10}
        deployments:
          blue: {upstreams: ['http://127.0.0.1:1']}
          c: {upstreams: ['ftp://x']}
      third:
        mirror_traffic: {blue: 60}
        deployments:
          blue: {upstreams: ['http://127.0.0.1:1']}
      no: {}
    """
    assert problems(text) == [
        "config/teal.yaml:2: listen: 8080, expected text",
        "config/teal.yaml:5: first.idempotnt: unknown field; did you mean idempotent?",
        "config/teal.yaml:10: second.deployments.c.upstreams[0]: 'ftp://x' is not an upstream; "
        "expected http://HOST:PORT or unix:/PATH (a path is scoring_path)",
        "config/teal.yaml:12: third.mirror_traffic: 60 percent, at most 50 (mirror.max_percent)",
        'config/teal.yaml:15: no: YAML reads this key as true or false; put it in quotes: "no"',
    ]


def test_a_wrong_listen_address_breaks_no_other_rule() -> None:
    """The default address does not stand in for one that is not known."""
    text = "listen: 1\n" + in_endpoint("deployments: {blue: {upstreams: ['http://127.0.0.1:8080']}}")
    assert problems(text) == ["config/teal.yaml:1: listen: 1, expected text"]


def test_names_are_checked_even_of_endpoints_of_wrong_shape() -> None:
    """A name and what stands under it are two problems."""
    assert problems("endpoints: {ab: 5, churn: {}, Churn: 5}") == [
        "config/teal.yaml:1: ab: 5, expected a mapping",
        "config/teal.yaml:1: Churn: 5, expected a mapping",
        "config/teal.yaml:1: ab: not a valid name; expected 3 to 32 letters, digits and hyphens, "
        "starting with a letter and ending with a letter or digit",
        "config/teal.yaml:1: Churn: differs from churn only in case; names are compared without it",
    ]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "config/teal.yaml:1: the file is empty; expected at least `endpoints: {}`"),
        (b"# nothing\n", "config/teal.yaml:1: the file is empty; expected at least `endpoints: {}`"),
        (b"a: \xff", "config/teal.yaml:1: not UTF-8: byte 0xff; save the file as UTF-8"),
        (b"a: 1\n\xff\xfeb: 2", "config/teal.yaml:2: not UTF-8: byte 0xff; save the file as UTF-8"),
    ],
)
def test_what_is_no_text_of_yaml_is_refused(content: bytes, expected: str) -> None:
    """The one problem there is."""
    assert problems(content) == [expected]


def test_a_file_of_another_kind_is_refused_in_a_hundred_lines() -> None:
    """It may have a problem in each of its own, and they go to the log."""
    with pytest.raises(ConfigError) as caught:
        parse_config("".join(f"line{number}: x\n" for number in range(1, 301)), PATH)
    lines = str(caught.value).splitlines()
    assert caught.value.count == 300
    assert lines[99].startswith("config/teal.yaml:100: line100: unknown field")
    assert lines[100:] == ["config/teal.yaml:101: 200 more problems from here on; put these right first"]


def test_a_long_value_is_shown_in_part() -> None:
    """A megabyte of it helps nobody."""
    (problem,) = problems(f"endpoints: {{}}\nlisten: '{'1' * 1_000_000}'\n")
    assert problem.startswith("config/teal.yaml:2: listen: ")
    assert len(problem) < 2100


def test_a_text_that_is_too_large_is_refused(tmp_path: Path) -> None:
    """Whether it is in the file, or a change would make it."""
    content = b"endpoints: {}\n" + b"#" * 2**22
    (tmp_path / "teal.yaml").write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        load_config(tmp_path / "teal.yaml")
    reason = "it has 4,194,318 bytes, and at most 4,194,304 (4 MiB) are read; see that it is the file you mean"
    assert str(caught.value) == f"{tmp_path}/teal.yaml: {reason}"
    assert problems(content) == [f"config/teal.yaml:1: {reason}"]


def test_a_byte_order_mark_is_accepted() -> None:
    """Some editors write one."""
    assert parse_config(b"\xef\xbb\xbfendpoints: {}", PATH).endpoints == {}


def test_relative_paths_start_at_the_files_folder(tmp_path: Path) -> None:
    """Whatever the working directory is; absolute ones stay."""
    file = tmp_path / "teal.yaml"
    file.write_text("state_dir: state\nadmin: {token_file: /etc/token}\n")
    config = load_config(file).config
    assert config.state_dir == tmp_path / "state"
    assert config.admin.token_file == Path("/etc/token")


def test_links_stay_in_relative_paths(tmp_path: Path) -> None:
    """A path below a link that is swapped later leads to what it then points to."""
    (tmp_path / "..1").mkdir()
    (tmp_path / "..1" / "teal.yaml").write_text("state_dir: state\n")
    (tmp_path / "..data").symlink_to("..1")
    config = load_config(tmp_path / "..data" / "teal.yaml").config
    assert str(config.state_dir) == f"{tmp_path}/..data/state"


def test_a_file_that_is_missing_is_refused(tmp_path: Path) -> None:
    """With the system's reason and no line."""
    with pytest.raises(ConfigError) as caught:
        load_config(tmp_path / "teal.yaml")
    assert str(caught.value) == f"{tmp_path}/teal.yaml: {os.strerror(2)}"


def test_warnings_have_lines() -> None:
    """A field without effect is accepted and told."""
    loaded = load_content(in_endpoint("description: x\ncompute: local\n").encode(), PATH)
    assert [str(warning) for warning in loaded.warnings] == [
        "config/teal.yaml:4: churn.compute: has no effect: teal runs on this host"
    ]


def test_the_garbage_collector_runs_again_afterwards() -> None:
    """It is paused while a config is read, also one that is refused."""
    parse_config("endpoints: {}", PATH)
    assert gc.isenabled()
    problems("")
    assert gc.isenabled()
