"""The config file is changed as a whole or not at all, and what people save meanwhile is never lost."""

from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import pytest

from router.control.commands.config_file import ConfigFile, sha256
from router.control.config.edit import Edit, Remove, Set
from router.control.config.load import Loaded
from router.control.config.problem import Problem
from router.control.refusal import Conflict, Invalid, NotFound, NotWritten

TEXT = """\
# mine
endpoints:
  churn:
    traffic: {blue: 100, green: 0}  # percent
    properties: {team: "a"}
    deployments:
      blue: {upstreams: ["http://127.0.0.1:9100"]}
      green: {upstreams: ["http://127.0.0.1:9101"]}
"""
SHIFTED = TEXT.replace("{blue: 100, green: 0}", "{blue: 90, green: 10}")
TRAFFIC = ("endpoints", "churn", "traffic")


@pytest.fixture
def file(tmp_path: Path) -> ConfigFile:
    path = tmp_path / "teal.yaml"
    path.write_text(TEXT)
    return ConfigFile(path)


class Announced:
    """Remembers what was announced, and does something else at each of the first times."""

    def __init__(self, *then: Callable[[], object]) -> None:
        self.digests: list[str] = []
        self._then = list(then)

    async def __call__(self, digest: str) -> None:
        self.digests.append(digest)
        if self._then:
            self._then.pop(0)()


def approving(announced: Announced) -> Callable[[Loaded], Awaitable[None]]:
    async def approve(loaded: Loaded) -> None:
        await announced(sha256(loaded.content))

    return approve


def change(
    file: ConfigFile,
    *edits: Edit,
    plan: Callable[[Loaded], Sequence[Edit]] | None = None,
    announced: Announced | None = None,
) -> Awaitable[Loaded]:
    """The edits made, their problems said in capitals."""
    return file.change(plan or (lambda _: edits), explain=in_capitals, announce=announced or Announced())


def in_capitals(problem: Problem) -> Problem:
    return Problem(path=None, line=None, field=problem.field.upper(), message=problem.message, key=problem.key)


def shift(loaded: Loaded) -> list[Edit]:
    """Ten percent more to green, from what the file has."""
    green = loaded.config.endpoints["churn"].traffic["green"] + 10
    return [Set(path=TRAFFIC, value={"blue": int(100 - green), "green": int(green)})]


def names(file: ConfigFile) -> list[str]:
    return [path.name for path in file.path.parent.iterdir()]


async def test_change_is_written(file: ConfigFile) -> None:
    """What is returned is what the file has, and what was announced."""
    announced = Announced()
    loaded = await change(file, plan=shift, announced=announced)
    assert file.path.read_text() == SHIFTED
    assert loaded.content == SHIFTED.encode()
    assert loaded.config.endpoints["churn"].traffic == {"blue": 90, "green": 10}
    assert announced.digests == [sha256(SHIFTED.encode())]
    assert names(file) == ["teal.yaml"]


async def test_change_is_announced_before_it_is_written(file: ConfigFile) -> None:
    """So that after a crash it is known what was meant."""
    seen: list[str] = []
    await change(file, plan=shift, announced=Announced(lambda: seen.append(file.path.read_text())))
    assert seen == [TEXT]


async def test_change_that_changes_nothing_writes_nothing(file: ConfigFile) -> None:
    """The same file is there, and its digest is announced all the same."""
    announced, before = Announced(), file.path.stat()
    loaded = await change(file, Set(path=(*TRAFFIC, "blue"), value=100.0), announced=announced)
    assert file.path.stat() == before
    assert loaded.content == TEXT.encode()
    assert announced.digests == [sha256(TEXT.encode())]


async def test_byte_order_mark_and_line_ends_stay(file: ConfigFile) -> None:
    """The file may come from another system."""
    file.path.write_bytes(b"\xef\xbb\xbf" + TEXT.replace("\n", "\r\n").encode())
    await change(file, plan=shift)
    assert file.path.read_bytes() == b"\xef\xbb\xbf" + SHIFTED.replace("\n", "\r\n").encode()


async def test_file_saved_meanwhile_is_changed_as_it_is_then(file: ConfigFile) -> None:
    """The change begins again with what was saved; both are in the file in the end."""
    saved = TEXT.replace("# mine", "# mine, too").replace("{blue: 100, green: 0}", "{blue: 70, green: 30}")
    announced = Announced(lambda: file.path.write_text(saved))
    await change(file, plan=shift, announced=announced)
    expected = saved.replace("{blue: 70, green: 30}", "{blue: 60, green: 40}")
    assert file.path.read_text() == expected
    assert announced.digests == [sha256(SHIFTED.encode()), sha256(expected.encode())]
    assert names(file) == ["teal.yaml"]


async def test_file_broken_meanwhile_is_left_broken(file: ConfigFile) -> None:
    """Somebody is at work in it."""
    with pytest.raises(Conflict, match="is not valid, so it is not changed"):
        await change(file, plan=shift, announced=Announced(lambda: file.path.write_text("endpoints: [")))
    assert file.path.read_text() == "endpoints: ["
    assert names(file) == ["teal.yaml"]


async def test_file_removed_meanwhile_stays_removed(file: ConfigFile) -> None:
    """The change does not bring it back."""
    with pytest.raises(Conflict) as refused:
        await change(file, plan=shift, announced=Announced(file.path.unlink))
    assert [str(problem) for problem in refused.value.problems] == [f"{file.path}: No such file or directory"]
    assert names(file) == []


async def test_file_that_keeps_changing_is_left(file: ConfigFile) -> None:
    """Whoever saves all the time has the last word."""
    saves = [lambda number=number: file.path.write_text(f"{TEXT}# {number}\n") for number in range(9)]
    with pytest.raises(Conflict) as refused:
        await change(file, plan=shift, announced=Announced(*saves))
    assert str(refused.value) == f"{file.path} is being changed by somebody else all the time; try again"
    assert file.path.read_text() == f"{TEXT}# 4\n"
    assert names(file) == ["teal.yaml"]


async def test_invalid_file_is_not_changed(file: ConfigFile) -> None:
    """Its problems are the answer, with their lines."""
    broken = TEXT.replace("green: 0}", "green: 5}")
    file.path.write_text(broken)
    announced = Announced()
    with pytest.raises(Conflict) as refused:
        await change(file, plan=shift, announced=announced)
    assert str(refused.value) == f"{file.path} is not valid, so it is not changed; repair it, or see `teal config undo`"
    assert [str(problem) for problem in refused.value.problems] == [
        f"{file.path}:4: churn.traffic: weights add up to 105, expected 0 or 100"
    ]
    assert file.path.read_text() == broken
    assert announced.digests == []


async def test_change_that_breaks_rules_writes_nothing(file: ConfigFile) -> None:
    """All its problems are the answer, in terms of what was asked for."""
    edits = [Set(path=(*TRAFFIC, "green"), value=5), Set(path=("endpoints", "churn", "name"), value="fraud")]
    announced = Announced()
    with pytest.raises(Invalid) as refused:
        await change(file, *edits, announced=announced)
    assert [problem.field for problem in refused.value.problems] == ["CHURN.TRAFFIC", "CHURN.NAME"]
    assert file.path.read_text() == TEXT
    assert announced.digests == []
    assert names(file) == ["teal.yaml"]


async def test_step_that_breaks_rules_writes_nothing(file: ConfigFile) -> None:
    """A property may not go, though the config without it would be valid."""
    with pytest.raises(Invalid) as refused:
        await change(file, Remove(path=("endpoints", "churn", "properties", "team")))
    assert [problem.field for problem in refused.value.problems] == ["CHURN.PROPERTIES.TEAM"]
    assert file.path.read_text() == TEXT


async def test_edit_that_cannot_be_writes_nothing(file: ConfigFile) -> None:
    """With the place that it is about."""
    with pytest.raises(Conflict) as refused:
        await change(file, Set(path=("endpoints", "churn", "deployments", "blue", "upstreams", 5), value="x"))
    place = "endpoints.churn.deployments.blue.upstreams[5]"
    assert str(refused.value) == f"{file.path}: {place} is out of range: the list has 1 items"
    assert file.path.read_text() == TEXT


async def test_refusal_of_the_plan_is_the_answer(file: ConfigFile) -> None:
    """It has looked at the file and found no place for what it was asked for."""

    def plan(_: Loaded) -> list[Edit]:
        raise NotFound("there is no endpoint fraud")

    with pytest.raises(NotFound, match="there is no endpoint fraud"):
        await change(file, plan=plan)
    assert file.path.read_text() == TEXT


async def test_what_the_disk_refuses_is_said(tmp_path: Path) -> None:
    """With the place, and what to do."""
    file = ConfigFile(tmp_path / "gone" / "teal.yaml")
    with pytest.raises(
        NotWritten, match=r"/gone/teal\.yaml cannot be written: the folder .*/gone does not exist; make it"
    ):
        await file.restore(TEXT, expected=None, approve=approving(Announced()))


@pytest.mark.parametrize("on_disk", [SHIFTED, "endpoints: [", ""])
async def test_earlier_text_is_restored(file: ConfigFile, on_disk: str) -> None:
    """Over whatever the file has, valid or not."""
    file.path.write_text(on_disk)
    announced = Announced()
    loaded = await file.restore(TEXT, expected=on_disk.encode(), approve=approving(announced))
    assert file.path.read_text() == TEXT
    assert loaded.content == TEXT.encode()
    assert announced.digests == [sha256(TEXT.encode())]
    assert names(file) == ["teal.yaml"]


async def test_file_that_is_gone_is_restored(file: ConfigFile) -> None:
    """If it was gone when somebody looked."""
    file.path.unlink()
    await file.restore(TEXT, expected=None, approve=approving(Announced()))
    assert file.path.read_text() == TEXT


async def test_file_saved_meanwhile_is_not_restored_over(file: ConfigFile) -> None:
    """Nobody has seen what would be lost."""
    with pytest.raises(Conflict) as refused:
        await file.restore(
            SHIFTED, expected=TEXT.encode(), approve=approving(Announced(lambda: file.path.write_text("# new\n")))
        )
    assert str(refused.value) == f"{file.path} was changed meanwhile; look at it and try again"
    assert file.path.read_text() == "# new\n"


async def test_text_that_is_not_valid_any_more_is_not_restored(file: ConfigFile) -> None:
    """It may be from another version of teal; its problems are the answer."""
    with pytest.raises(Conflict, match=r"^that version is not valid any more$") as refused:
        await file.restore("colour: red\n", expected=TEXT.encode(), approve=approving(Announced()))
    assert [problem.field for problem in refused.value.problems] == ["colour"]
    assert file.path.read_text() == TEXT
