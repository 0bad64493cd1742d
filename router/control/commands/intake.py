"""Takes in what definitions name: copies of files into the store, names and versions into the registry.

Rules
- Nothing is registered before the change that uses it is known to be valid: a `Taking` is called to plan the change, as
  often as it takes, and committed once.
- A deployment keeps the version that it was given: `azureml:NAME@latest` becomes the version that this is now.
- All problems are told at once, in terms of the user's own files.
"""

import copy
import json
from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec
from pydantic import ValidationError

from router.control.api.messages import Change
from router.control.assets.registry import Draft, Kind, Registered, Registry
from router.control.assets.resolve import asset_config, parse_reference
from router.control.assets.store import ContentStore
from router.control.commands.copies import Copies, Copy
from router.control.commands.definitions import Definition, read_definition, split, with_values, without
from router.control.commands.parts import (
    Fields,
    runs_on_own_interpreter,
    take_code,
    take_environment,
    take_model,
    take_warmup,
)
from router.control.commands.shape import deployment_problems
from router.control.config.deployment import EnvironmentConfig, ModelConfig
from router.control.config.document import KeyPath, read_document
from router.control.config.explain import explain
from router.control.config.problem import Problem
from router.control.refusal import Conflict, Invalid, NotFound, Refusal
from router.control.threads import Threads

#: What `show` prints of an asset and nobody sets; people paste it back.
_READ_ONLY = frozenset({"$schema", "id", "creation_time", "creation_context", "is_archived", "digest"})
#: What Azure's files of assets have, and inline ones have not: kept and shown.
_KEPT: Mapping[Kind, frozenset[str]] = {
    "model": frozenset({"stage", "flavors", "datastore", "utc_time_created"}),
    "environment": frozenset({"datastore"}),
}
_SHAPES: Mapping[Kind, type[ModelConfig | EnvironmentConfig]] = {"model": ModelConfig, "environment": EnvironmentConfig}
_MISSING = (None, "")
#: Commands whose files are being looked at; further ones are refused.
_READERS = 32
_BUSY = f"the files of {_READERS} commands are being read, and no more are taken at a time; try again in a moment"
_PATHS = ("path", "conda_file", "requirements", "python")


class Intake:
    """Takes in deployments, models and environments.

    Args:
        config_folder: Where relative paths in the config start.

    Attributes:
        threads: Where all of it is done, since users' files may be on a server that is gone.
    """

    def __init__(self, registry: Registry, store: ContentStore, config_folder: Path) -> None:
        self._registry = registry
        self._store = store
        self._config_folder = config_folder.absolute()
        self.threads = Threads("intake", limit=_READERS, busy=_BUSY)

    def of(self, change: Change, definition: Definition | None) -> "Taking":
        """What takes in the fields of one deployment."""
        return Taking(self._registry, self._store, self._config_folder, change, definition)

    def register(self, kind: Kind, change: Change) -> Registered:
        """Register a model or an environment by its own definition.

        Raises:
            Invalid: what it names is not there, or it has fields that it cannot have; all problems at once.
            Conflict: the version has another content; the message says which is free.
            StorageFull: there is no room for the copies.
            StateError: it cannot be stored.
        """
        definition = read_definition(change.definition, change.file) if change.definition is not None else None
        copies = Copies(self._store, change, definition, made={})
        fields = _asset_fields(change, definition)
        taken = take_model(copies, (), fields) if kind == "model" else take_environment(copies, (), fields)
        for field in ("name", "path") if kind == "model" else ("name",):
            if fields.get(field) in _MISSING:
                copies.complain((field,), "missing; it has no default")
                fields[field] = "/"  # is said now, and need not be said again
        draft = _draft(copies, kind, (), fields, taken)
        copies.check_all_used()
        if copies.problems or draft is None:
            raise _refusal(copies.problems, [])
        try:
            return self._registry.create(draft)
        except Invalid as error:
            raise Invalid(copies.problem(problem.key, problem.message) for problem in error.problems) from error
        except Conflict as error:
            raise _refusal([], [copies.problem(("version",), error.message)]) from error


class Taking:
    """Takes in the fields of one deployment, as often as the change is planned; `commit` registers what they name."""

    def __init__(
        self,
        registry: Registry,
        store: ContentStore,
        config_folder: Path,
        change: Change,
        definition: Definition | None,
    ) -> None:
        self._registry = registry
        self._store = store
        self._config_folder = config_folder
        self._change = change
        self._definition = definition
        self._drafts: tuple[Draft, ...] = ()
        # A large model is read once, however often the change is planned.
        self._made: dict[str, str] = {}

    def __call__(self, fields: Mapping[str, object]) -> Mapping[str, object]:
        """The fields with copies in the place of paths, and references in that of what is going to be registered.

        Raises:
            Invalid: what they name is not there or cannot work; all problems at once.
            Conflict: a version has another content; the message says which is free.
            StorageFull: there is no room for the copies.
        """
        copies = Copies(self._store, self._change, self._definition, self._made)
        deployment = _Deployment(
            copy.deepcopy(dict(fields)),
            copies,
            registry=self._registry,
            store=self._store,
            config_folder=self._config_folder,
            is_whole=self._definition is not None,
        )
        deployment.take_in()
        copies.check_all_used()
        if copies.problems or deployment.conflicts:
            if self._definition is not None:
                _complain_of_shape(copies, deployment.fields)
            raise _refusal(copies.problems, deployment.conflicts)
        self._drafts = tuple(deployment.drafts)
        return deployment.fields

    def commit(self) -> None:
        """Register what the last call has named. The change is valid by now, and not made yet.

        Raises:
            Conflict: somebody else registered another content under one of the versions meanwhile.
            StateError: it cannot be stored.
        """
        for draft in self._drafts:
            self._registry.create(draft)


class _Deployment:
    """The fields of a deployment while they are taken in.

    Args:
        is_whole: Whether the fields are all that the deployment has. Otherwise they are what is set of it, and each has
            to stay where it is.

    Attributes:
        drafts: What is going to be registered.
        conflicts: Versions that are taken.
    """

    def __init__(
        self,
        fields: dict[str, object],
        copies: Copies,
        *,
        registry: Registry,
        store: ContentStore,
        config_folder: Path,
        is_whole: bool,
    ) -> None:
        self.fields = fields
        self.drafts: list[Draft] = []
        self.conflicts: list[Problem] = []
        self._copies = copies
        self._registry = registry
        self._store = store
        self._config_folder = config_folder
        self._is_whole = is_whole

    def take_in(self) -> None:
        """Take in every part; what is wrong is among the problems of the copies, and the conflicts."""
        is_own = self._environment()
        self._model()
        code = self.fields.get("code_configuration")
        if isinstance(code, dict):
            self._put(code, take_code(self._copies, code, check_syntax=is_own))
        warmup = self.fields.get("warmup_request")
        if isinstance(warmup, dict):
            self._put(warmup, take_warmup(self._copies, warmup))

    def _model(self) -> None:
        given = self.fields.get("model")
        if isinstance(given, str):
            self._pin("model", given)
        elif isinstance(given, dict):
            self._inline("model", given, take_model(self._copies, ("model",), given))

    def _environment(self) -> bool:
        """Take in the environment; return whether scripts in it are read by the Python that runs teal."""
        given = self.fields.get("environment")
        if isinstance(given, str):
            config = self._pin("environment", given)
            if not isinstance(config, EnvironmentConfig):
                return False
            return runs_on_own_interpreter(config.conda_file, config.python)
        if not isinstance(given, dict):
            return self._is_whole and given is None
        taken = take_environment(self._copies, ("environment",), given)
        is_known = taken.keys() >= given.keys() & {"conda_file"}
        conda_file = taken["conda_file"].path if "conda_file" in taken else None
        self._inline("environment", given, taken)
        return is_known and runs_on_own_interpreter(conda_file, given.get("python"))

    def _inline(self, kind: Kind, given: Fields, taken: Mapping[str, Copy]) -> None:
        """Put copies into a mapping; with a name, it is going to be registered, and referred to by that name."""
        reference = None
        if given.get("name") not in _MISSING and (taken or self._is_whole):
            draft = _draft(self._copies, kind, (kind,), given, taken)
            reference = self._drafted(draft) if draft is not None else None
        self._put(given, taken)
        if reference is not None and self._is_whole:
            self.fields[kind] = reference

    def _drafted(self, draft: Draft) -> str | None:
        """What a draft is going to be called; None if it cannot be registered."""
        try:
            asset = self._registry.preview(draft)
        except Conflict as error:
            self.conflicts.append(self._copies.problem((draft.kind, "version"), error.message))
        except Invalid as error:
            for problem in error.problems:
                self._copies.complain((draft.kind, *problem.key), problem.message)
        else:
            self.drafts.append(msgspec.structs.replace(draft, version=asset.version))
            return asset.id
        return None

    def _pin(self, kind: Kind, value: str) -> ModelConfig | EnvironmentConfig | None:
        """Put the version in that a reference means now; return what it means."""
        reference = parse_reference(value)
        if reference is None:
            return None  # what it looks like gets checked with the whole config
        try:
            asset = self._registry.get(kind, *reference)
            config = asset_config(asset, self._store)
        except NotFound as error:
            self._copies.complain((kind,), error.message)
            return None
        self.fields[kind] = asset.id
        return config

    def _put(self, given: Fields, taken: Mapping[str, Copy]) -> None:
        """Paths in the config start at its folder, where the copies are below it."""
        for field, taken_copy in taken.items():
            path = taken_copy.path
            is_below = path.is_relative_to(self._config_folder)
            given[field] = str(path.relative_to(self._config_folder) if is_below else path)


def _asset_fields(change: Change, definition: Definition | None) -> dict[str, object]:
    """The fields of a definition of an asset, with what is set over it."""
    written = definition.fields if definition is not None else {}
    given = with_values(written, ((split(field), value) for field, value in change.set.items()))
    kept = {name: value for name, value in given.items() if name not in _READ_ONLY}
    return without(kept, map(split, change.remove))


def _draft(
    copies: Copies, kind: Kind, at: KeyPath, given: Mapping[str, object], taken: Mapping[str, Copy]
) -> Draft | None:
    """What is registered of the fields of an asset; None, and problems, if they have not the shape of one."""
    kept = {name: given[name] for name in _KEPT[kind] if name in given} if not at else {}
    # Whether paths are any good has been said by now.
    placeholders = {name: "/" for name in _PATHS if given.get(name) and isinstance(given[name], str)}
    placeholders |= {"conda_file": "/"} if isinstance(given.get("conda_file"), Mapping) else {}
    fields = {name: value for name, value in given.items() if name not in kept} | placeholders
    try:
        config = _SHAPES[kind].model_validate(fields)
    except ValidationError as error:
        for path, message in _shape_problems(error, fields, kind):
            copies.complain((*at, *path), message)
        return None
    said = config.model_dump(mode="json", exclude_unset=True, exclude_none=True, exclude={"name", "version", *_PATHS})
    python = {"python": given["python"]} if given.get("python") else {}
    kind_of_model = {"type": config.type} if isinstance(config, ModelConfig) else {}
    return Draft(
        kind=kind,
        name=config.name or "",
        version=config.version,
        copies={field: copies.place(taken_copy) for field, taken_copy in taken.items()},
        fields={**kept, **said, **kind_of_model, **python},
    )


def _shape_problems(error: ValidationError, fields: Mapping[str, object], kind: Kind) -> Iterator[tuple[KeyPath, str]]:
    document = read_document(json.dumps(fields))
    known = list(_SHAPES[kind].model_fields)
    for detail in error.errors(include_url=False):
        if detail["type"] == "extra_forbidden":
            yield detail["loc"], f"unknown field; there is {', '.join(known)}"
        else:
            yield explain(detail, document)


def _complain_of_shape(copies: Copies, fields: Mapping[str, object]) -> None:
    """Add what else is wrong with a deployment, which would otherwise be said once its paths are right."""
    said = {problem.key for problem in copies.problems}
    for key, message in deployment_problems(fields):
        if key not in said:
            copies.complain(key, message)


def _refusal(problems: list[Problem], conflicts: list[Problem]) -> Refusal:
    """All of them at once; a conflict if there is nothing else."""
    ordered = sorted([*problems, *conflicts], key=lambda problem: problem.line or 0)
    return Invalid(ordered) if problems else Conflict("; ".join(map(str, ordered)), ordered)
