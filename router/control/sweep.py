"""What nothing names any more is taken out of the state: copies of models and code, and keys of endpoints."""

import asyncio

import structlog

from router.control.applier import Applier
from router.control.assets.registry import Registry
from router.control.assets.resolve import digests_in_use
from router.control.assets.store import ContentStore
from router.control.history import ConfigHistory
from router.control.retired_keys import forget_retired_keys
from router.control.state import State, StateError

log = structlog.get_logger()

#: How often it is looked for.
_EVERY_S = 3600.0


class Sweep:
    """Keeps what the config, a version of it that is kept, or a registered asset names.

    Args:
        reloading: Held by whoever brings a config into force.
    """

    def __init__(
        self,
        *,
        state: State,
        history: ConfigHistory,
        store: ContentStore,
        registry: Registry,
        applier: Applier,
        reloading: asyncio.Lock,
    ) -> None:
        self._state = state
        self._history = history
        self._store = store
        self._registry = registry
        self._applier = applier
        self._reloading = reloading

    async def run(self) -> None:
        """Sweep every hour, for ever."""
        while True:
            await asyncio.sleep(_EVERY_S)
            try:
                gone = await asyncio.to_thread(self._swept)
            except StateError as error:
                log.error("assets.not_swept", reason=str(error))
                continue
            if gone:
                log.info("assets.swept", copies=len(gone))
            await self._sweep_keys()

    async def _sweep_keys(self) -> None:
        try:
            async with self._reloading:  # an endpoint that is just being made is in no text yet
                names = list(self._applier.config.endpoints)
                gone = await asyncio.to_thread(lambda: forget_retired_keys(self._state, names, self._kept_texts()))
        except StateError as error:
            log.error("keys.not_swept", reason=str(error))
            return
        if gone:
            log.info("keys.swept", endpoints=gone)

    def _kept_texts(self) -> list[str]:
        return [self._history.text(version.number) for version in self._history.versions()]

    def _swept(self) -> list[str]:
        texts = self._kept_texts()
        return self._store.sweep(digests_in_use(self._applier.config, self._registry, self._store, texts))
