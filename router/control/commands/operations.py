"""Operations: what commands have begun, where each stands, and what became of it; kept across a restart.

Rules
- An operation is on the disk before the config file is changed, with the digest of the text that the file will have.
  So after a crash it is known whether the change was made.
- It ends once, as Succeeded, Failed or Canceled. A newer one that deletes or replaces what it is about cancels it;
  changes add up, and each waits until the sum of them is there.
- The last `KEPT` are kept.
"""

import asyncio
import math
import secrets
import time
from collections.abc import Callable, Iterable

import msgspec
import structlog

from router.control.api.messages import Operation, OperationStatus, Progress, iso
from router.control.refusal import NotFound
from router.control.state import State, StateError

log = structlog.get_logger()

KEPT = 200
#: A build that prints more than this is followed in the deployment's log.
MAX_PROGRESS = 300


class Record(msgspec.Struct, kw_only=True):
    """An operation as it is stored.

    Attributes:
        began: Unix time.
        config_sha256: Of the text that the config file has once the change is made.
        all_traffic: All live traffic goes to the deployment when it is there.
        targets: Endpoint and deployment of all that is waited for, where it is more than one.
        is_applied: The change was made.
    """

    operation: Operation
    began: float
    config_sha256: str = ""
    all_traffic: bool = False
    targets: tuple[tuple[str, str], ...] = ()
    is_applied: bool = False


class Operations:
    """Every operation that is known. Changed on the event loop; the disk is written in threads."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._records: dict[str, Record] = {}
        self._news = asyncio.Event()

    async def load(self) -> list[Record]:
        """Read what is stored; return those that were under way when the daemon ended, oldest first."""
        rows = await asyncio.to_thread(self._read)
        self._records = {record.operation.id: record for record in rows}
        return [record for record in rows if record.operation.status == "InProgress"]

    def all(self) -> list[Operation]:
        """All of them, the newest last."""
        return [record.operation for record in self._records.values()]

    def get(self, name: str) -> Operation:
        """One of them.

        Raises:
            NotFound: there is none of this name, or not any more.
        """
        return self._record(name).operation

    async def wait(self, name: str, *, progress: int, timeout_s: float) -> Operation:
        """The operation once it has ended, or has more than `progress` lines of progress, or after `timeout_s`."""
        deadline = asyncio.get_running_loop().time() + timeout_s
        while True:
            operation = self.get(name)
            if operation.status != "InProgress" or len(operation.progress) > progress:
                return operation
            try:
                async with asyncio.timeout_at(deadline):
                    await self._news.wait()
            except TimeoutError:
                return operation

    def begin(self, command: str, endpoint: str, deployment: str = "", *, all_traffic: bool = False) -> str:
        """A new operation, in memory only; return its id."""
        name = secrets.token_hex(6)
        now = time.time()
        operation = Operation(id=name, command=command, endpoint=endpoint, deployment=deployment, started=iso(now))
        # A clock that was set back must not make it older than those that are known: the oldest are forgotten.
        newest = max((record.began for record in self._records.values()), default=0.0)
        began = max(now, math.nextafter(newest, math.inf))
        self._records[name] = Record(operation=operation, began=began, all_traffic=all_traffic)
        self._prune()
        log.info("operation.started", operation=name, command=command, endpoint=endpoint, deployment=deployment)
        return name

    async def forget(self, name: str) -> None:
        """It came to nothing: what it asked for was refused."""
        self._records.pop(name, None)
        self._wake()
        try:
            await asyncio.to_thread(self._delete, name)
        except StateError as error:  # the disk may be what refused it
            log.error("operation.not_stored", operation=name, reason=str(error))

    async def will_write(self, name: str, config_sha256: str) -> None:
        """Store it, with the digest of what the config file is about to become.

        Raises:
            StateError: it cannot be stored.
        """
        record = self._record(name)
        record.config_sha256 = config_sha256
        await asyncio.to_thread(self._write, record)

    def waits_for(self, name: str, targets: Iterable[tuple[str, str]]) -> None:
        """What an operation that changed several things waits for; stored with the next step."""
        self._record(name).targets = tuple(targets)

    def targets(self, name: str) -> tuple[tuple[str, str], ...]:
        """What it waits for, as `waits_for` was told."""
        return self._record(name).targets

    async def applied(self, name: str, generation: int, warnings: tuple[str, ...] = ()) -> None:
        """Its change is in force."""
        self._record(name).is_applied = True
        self._update(name, generation=generation, warnings=warnings)
        await self._store(name)

    def tell(self, name: str, text: str) -> None:
        """Add a line of progress; one that repeats the last is not added, nor one to an operation that has ended."""
        operation = self._record(name).operation
        progress = operation.progress
        is_news = not progress or progress[-1].text != text
        if is_news and operation.status == "InProgress" and len(progress) < MAX_PROGRESS:
            self._update(name, progress=(*progress, Progress(at=iso(time.time()), text=text)))

    async def end(
        self, name: str, status: OperationStatus, *, reason: str = "", log_tail: tuple[str, ...] = ()
    ) -> None:
        """It is over; one that has ended already stays as it is."""
        operation = self._record(name).operation
        if operation.status != "InProgress":
            return
        self._update(name, status=status, reason=reason, log_tail=log_tail, ended=iso(time.time()))
        tell: Callable[..., None] = log.info if status == "Succeeded" else log.warning
        tell(
            "operation.ended",
            operation=name,
            command=operation.command,
            endpoint=operation.endpoint,
            deployment=operation.deployment,
            status=status,
            reason=reason,
        )
        await self._store(name)

    def under_way(self, endpoint: str | None = None, deployment: str | None = None) -> list[Operation]:
        """Operations that have not ended: all, those of an endpoint, or those of one of its deployments.

        Names are compared without case: an operation has them as the command was given them.
        """
        return [
            operation
            for operation in self.all()
            if operation.status == "InProgress"
            and (endpoint is None or endpoint.lower() == operation.endpoint.lower())
            and (deployment is None or deployment.lower() == operation.deployment.lower())
        ]

    def _prune(self) -> None:
        ended = [name for name, record in self._records.items() if record.operation.status != "InProgress"]
        for name in ended[: max(0, len(self._records) - KEPT)]:
            del self._records[name]

    def _record(self, name: str) -> Record:
        if name not in self._records:
            raise NotFound(f"there is no operation {name}; the last {KEPT} are kept")
        return self._records[name]

    def _update(self, name: str, **fields: object) -> None:
        record = self._record(name)
        record.operation = msgspec.structs.replace(record.operation, **fields)
        self._wake()

    def _wake(self) -> None:
        self._news.set()
        self._news = asyncio.Event()

    async def _store(self, name: str) -> None:
        """Write it; what the disk does not take is known in memory at least."""
        record = self._record(name)
        try:
            await asyncio.to_thread(self._write, record)
        except StateError as error:
            log.error("operation.not_stored", operation=name, reason=str(error))

    def _write(self, record: Record) -> None:
        with self._state.transaction() as database:
            # Not sooner: of two threads the one that writes last shall not write what the record was before.
            text = msgspec.json.encode(record).decode()
            database.execute(
                "INSERT INTO operations (id, started, record) VALUES (?, ?, ?) "
                "ON CONFLICT (id) DO UPDATE SET record = excluded.record",
                (record.operation.id, record.began, text),
            )
            database.execute(
                "DELETE FROM operations WHERE id NOT IN (SELECT id FROM operations ORDER BY started DESC LIMIT ?)",
                (KEPT,),
            )

    def _delete(self, name: str) -> None:
        with self._state.transaction() as database:
            database.execute("DELETE FROM operations WHERE id = ?", (name,))

    def _read(self) -> list[Record]:
        with self._state.transaction() as database:
            rows = database.execute("SELECT record FROM operations ORDER BY started").fetchall()
        return [record for row in rows if (record := _record(row[0])) is not None]


def _record(text: str) -> Record | None:
    """The record; None for one that another version has written and this one cannot read."""
    try:
        return msgspec.json.decode(text, type=Record)
    except msgspec.DecodeError as error:
        log.warning("operation.not_readable", reason=str(error))
        return None
