"""The register of models and environments: what each name and version means, for ever.

Rules
- A version never changes its meaning: what is registered again under it is the same, or refused. What only describes
  it, such as its tags, may be replaced; properties may be added.
- Names are compared without case, as those of endpoints are, and kept as first written.
- What is archived is not listed and not the latest; it still works.
"""

import hashlib
import re
import sqlite3
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, Literal, NamedTuple

import msgspec

from router.control.api.messages import iso
from router.control.config.problem import Problem
from router.control.refusal import Conflict, Invalid, NotFound, Refusal
from router.control.state import State

Kind = Literal["model", "environment"]
Archived = Literal["no", "only", "all"]

LATEST: Final = "latest"

# What makes a version the one that it is, besides its files. All else describes it.
_MAKES: Mapping[Kind, frozenset[str]] = {
    "model": frozenset({"type"}),
    "environment": frozenset({"python", "image", "build", "inference_config", "os_type"}),
}
#: Azure's characters for names and versions of assets.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,254}")
_LISTED = 20
# Values of `is_archived`. What is deleted leaves its number behind: a config that is brought back may still name it,
# and must not find something else there by accident.
_ACTIVE, _ARCHIVED, _DELETED = 0, 1, 2


class Draft(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be registered.

    Attributes:
        version: None for the newest if it has the same content, otherwise for the next free number.
        copies: Where in the store the copy of what a field named is: `<digest>/<name>`, by field.
        fields: All else of its definition.
    """

    kind: Kind
    name: str
    version: str | None = None
    copies: Mapping[str, str] = {}
    fields: Mapping[str, object] = {}


class _Definition(msgspec.Struct, frozen=True, kw_only=True):
    """What of an asset is stored as JSON."""

    copies: Mapping[str, str]
    fields: Mapping[str, object]


class Asset(msgspec.Struct, frozen=True, kw_only=True):
    """A registered version.

    Attributes:
        created: Unix seconds.
        digest: Over all that makes it this version; descriptions do not count.
        copies: Where in the store the copy of what a field named is: `<digest>/<name>`, by field.
        fields: All else of its definition.
    """

    kind: Kind
    name: str
    version: str
    created: float
    is_archived: bool
    digest: str
    copies: Mapping[str, str]
    fields: Mapping[str, object]

    @property
    def id(self) -> str:
        """As it is referred to."""
        return f"azureml:{self.name}:{self.version}"


class Registered(NamedTuple):
    """What a name and a version mean now, and whether they meant nothing before."""

    asset: Asset
    is_new: bool


class Registry:
    """Models and environments in the state's database. Its methods may be called from any thread."""

    def __init__(self, state: State) -> None:
        self._state = state

    def preview(self, draft: Draft) -> Asset:
        """What `create` would give now; nothing is stored.

        Raises:
            Invalid: name or version are none.
            Conflict: the version has another content; the message says which is free.
        """
        with self._state.transaction() as database:
            return _decided(database, draft)

    def create(self, draft: Draft) -> Registered:
        """Register it, or give what is registered under this name and version with this content.

        Raises:
            Invalid: name or version are none.
            Conflict: the version has another content; the message says which is free.
            StateError: it cannot be stored.
        """
        with self._state.transaction() as database:
            asset = _decided(database, draft)
            is_new = all(known.version != asset.version for known in _read(database, asset.kind, asset.name))
            _write(database, asset)
        return Registered(asset, is_new)

    def get(self, kind: Kind, name: str, version: str) -> Asset:
        """One version; `latest` is the newest that is not archived.

        Raises:
            NotFound: there is none; the message lists what there is.
        """
        with self._state.transaction() as database:
            return _found(database, kind, name, version)

    def list(self, kind: Kind, name: str | None = None, *, archived: Archived = "no") -> tuple[Asset, ...]:
        """All versions of a kind, or of one name; the newest last."""
        wanted = {"no": {False}, "only": {True}, "all": {False, True}}[archived]
        with self._state.transaction() as database:
            return tuple(asset for asset in _read(database, kind, name) if asset.is_archived in wanted)

    def archive(self, kind: Kind, name: str, version: str) -> Asset:
        """Take a version out of the list, and out of the choice of the latest; whoever uses it goes on.

        Raises:
            NotFound: there is none.
        """
        return self._set_archived(kind, name, version, is_archived=True)

    def restore(self, kind: Kind, name: str, version: str) -> Asset:
        """Put it back.

        Raises:
            NotFound: there is none.
        """
        return self._set_archived(kind, name, version, is_archived=False)

    def delete(self, kind: Kind, name: str, version: str, *, users: Sequence[str]) -> None:
        """Forget a version; its number is given again only to who asks for it.

        Args:
            users: Deployments that use it.

        Raises:
            NotFound: there is none.
            Conflict: somebody uses it.
            Refusal: `latest` may mean another one than was meant.
        """
        with self._state.transaction() as database:
            asset = _found(database, kind, name, version)
            if version == LATEST:
                raise Refusal(f"name the version that is to be deleted; the latest is {asset.version}")
            if users:
                raise Conflict(f"{asset.id} is used by {', '.join(users)}; delete them first, or archive it")
            _mark(database, asset, _DELETED)

    def _set_archived(self, kind: Kind, name: str, version: str, *, is_archived: bool) -> Asset:
        with self._state.transaction() as database:
            asset = _found(database, kind, name, version)
            _mark(database, asset, _ARCHIVED if is_archived else _ACTIVE)
        return msgspec.structs.replace(asset, is_archived=is_archived)


def name_problems(kind: Kind, name: str, version: str | None) -> list[Problem]:
    """What is wrong with a name and a version; the fields are `name` and `version`."""
    expected = "expected 1 to 255 letters, digits, hyphens, dots and underscores, the first a letter or digit"
    problems = []
    if _NAME.fullmatch(name) is None:
        problems.append(_problem("name", f"{name!r} is no name of {_a(kind)}; {expected}"))
    if version is not None and _NAME.fullmatch(version) is None:
        problems.append(_problem("version", f"{version!r} is no version of {_a(kind)}; {expected}"))
    if version is not None and version.lower() == LATEST:
        problems.append(_problem("version", f"{version!r} means the newest version; expected one such as 1"))
    return problems


def asset_resource(asset: Asset) -> dict[str, object]:
    """An asset as `show` prints it: Azure's fields first. Paths of copies are relative to the state directory."""
    return {
        "id": asset.id,
        "name": asset.name,
        "version": asset.version,
        "description": None,
        "tags": {},
        "properties": {},
        **asset.fields,
        **{field: f"assets/{copy}" for field, copy in asset.copies.items()},
        "creation_time": iso(asset.created),
        "is_archived": asset.is_archived,
        "digest": asset.digest,
    }


def _decided(database: sqlite3.Connection, draft: Draft) -> Asset:
    problems = name_problems(draft.kind, draft.name, draft.version)
    if problems:
        raise Invalid(problems)
    digest = _digest(draft)
    known = _read(database, draft.kind, draft.name)
    same = _same(known, draft, digest)
    if same is not None:
        return _described(same, draft)
    name = known[0].name if known else draft.name
    free = _free_number(database, draft.kind, draft.name)
    if any(asset.version == draft.version for asset in known):
        raise Conflict(f"{draft.kind} {name}:{draft.version} has another content; free is {free}")
    return Asset(
        kind=draft.kind,
        name=name,
        version=draft.version or free,
        created=time.time(),
        is_archived=False,
        digest=digest,
        copies=draft.copies,
        fields=draft.fields,
    )


def _same(known: Sequence[Asset], draft: Draft, digest: str) -> Asset | None:
    """The asset that a draft is already, where it names its version or means the newest."""
    if draft.version is None:
        candidates = [asset for asset in known if not asset.is_archived][-1:]
    else:
        candidates = [asset for asset in known if asset.version == draft.version]
    return next((asset for asset in candidates if asset.digest == digest), None)


def _described(asset: Asset, draft: Draft) -> Asset:
    """The asset with what a draft says of it; properties are added."""
    before, given = _mapping(asset.fields.get("properties")), _mapping(draft.fields.get("properties"))
    changed = [name for name in given if before.get(name, given[name]) != given[name]]
    if changed:
        raise Conflict(f"{asset.id}: properties may be added and not changed: {', '.join(changed)}")
    said = dict(draft.fields)
    if before or given:
        said["properties"] = {**before, **given}
    return msgspec.structs.replace(asset, fields={**asset.fields, **said})


def _free_number(database: sqlite3.Connection, kind: Kind, name: str) -> str:
    rows = database.execute("SELECT version FROM assets WHERE kind = ? AND name = ?", (kind, name)).fetchall()
    numbers = [int(row[0]) for row in rows if re.fullmatch(r"[0-9]{1,18}", row[0])]
    return str(max(numbers, default=0) + 1)


def _digest(draft: Draft) -> str:
    made_of = {name: value for name, value in draft.fields.items() if name in _MAKES[draft.kind]}
    return hashlib.sha256(msgspec.json.encode((draft.kind, draft.copies, made_of), order="sorted")).hexdigest()


def _found(database: sqlite3.Connection, kind: Kind, name: str, version: str) -> Asset:
    known = _read(database, kind, name)
    listed = [asset for asset in known if not asset.is_archived]
    if version == LATEST and listed:
        return listed[-1]
    for asset in known:
        if asset.version == version:
            return asset
    if known:
        missing = "that is not archived" if version == LATEST else version
        raise NotFound(f"{kind} {known[0].name} has no version {missing}; {_there_is(a.version for a in known)}")
    names = dict.fromkeys(asset.name for asset in _read(database, kind, None))
    raise NotFound(f"there is no {kind} {name}; {_there_is(names)}")


def _read(database: sqlite3.Connection, kind: Kind, name: str | None) -> Sequence[Asset]:
    """What is not deleted, in the order of its creation."""
    rows = database.execute(
        "SELECT name, version, created, is_archived, digest, definition FROM assets "
        "WHERE kind = ?1 AND (?2 IS NULL OR name = ?2) AND is_archived <> ?3 ORDER BY rowid",
        (kind, name, _DELETED),
    )
    return [_asset(kind, row) for row in rows]


def _asset(kind: Kind, row: tuple[str, str, float, int, str, str]) -> Asset:
    name, version, created, archived, digest, definition = row
    stored = msgspec.json.decode(definition, type=_Definition)
    return Asset(
        kind=kind,
        name=name,
        version=version,
        created=created,
        is_archived=archived == _ARCHIVED,
        digest=digest,
        copies=stored.copies,
        fields=stored.fields,
    )


def _write(database: sqlite3.Connection, asset: Asset) -> None:
    definition = msgspec.json.encode(_Definition(copies=asset.copies, fields=asset.fields)).decode()
    _forget_deleted(database, asset)
    database.execute(
        "INSERT INTO assets (kind, name, version, created, is_archived, digest, definition) "
        "VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (kind, name, version) DO UPDATE SET definition = excluded.definition",
        (*_key(asset), asset.created, int(asset.is_archived), asset.digest, definition),
    )


def _forget_deleted(database: sqlite3.Connection, asset: Asset) -> None:
    where = "WHERE kind = ? AND name = ? AND version = ? AND is_archived = ?"
    database.execute(f"DELETE FROM assets {where}", (*_key(asset), _DELETED))


def _mark(database: sqlite3.Connection, asset: Asset, mark: int) -> None:
    where = "WHERE kind = ? AND name = ? AND version = ?"
    database.execute(f"UPDATE assets SET is_archived = ? {where}", (mark, *_key(asset)))


def _key(asset: Asset) -> tuple[str, str, str]:
    return asset.kind, asset.name, asset.version


def _mapping(value: object) -> Mapping[str, object]:
    return value if isinstance(value, Mapping) else {}


def _problem(field: str, message: str) -> Problem:
    return Problem(path=None, line=None, field=field, message=message, key=(field,))


def _a(kind: Kind) -> str:
    return "a model" if kind == "model" else "an environment"


def _there_is(names: Iterable[str]) -> str:
    known = list(names)
    more = f" and {len(known) - _LISTED} more" if len(known) > _LISTED else ""
    return f"there is {', '.join(known[:_LISTED])}{more}" if known else "there is none"
