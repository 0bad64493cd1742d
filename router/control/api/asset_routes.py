"""Routes of models and environments, and of the content that definitions name."""

import asyncio
from typing import cast

from aiohttp import web

from router.control.api.messages import Change
from router.control.api.resources import Resource
from router.control.api.routes import Access, Route, read_body, read_choice, reply
from router.control.applier import Applier
from router.control.assets.registry import Archived, Kind, Registry, asset_resource
from router.control.assets.resolve import users_of
from router.control.assets.store import ContentStore
from router.control.commands.intake import Intake
from router.control.refusal import NotFound

_CONTENT = "/v1/content/{digest}"
_QUERY = {"name": "Only versions of this name.", "archived": "no, only or all; default no."}


class AssetRoutes:
    """Answers for models, or for environments.

    Args:
        lock: Held by whoever changes the config, in which versions are named.
    """

    def __init__(self, kind: Kind, registry: Registry, intake: Intake, applier: Applier, lock: asyncio.Lock) -> None:
        self._lock = lock
        self._kind = kind
        self._registry = registry
        self._intake = intake
        self._applier = applier

    def routes(self) -> list[Route]:
        """Its routes."""
        kind = self._kind
        all_of = f"/v1/{kind}s"
        one = f"{all_of}/{{name}}/versions/{{version}}"
        listed, read = list[Resource], Access.READ
        return [
            Route("GET", all_of, self._list, f"Versions of {kind}s, newest last.", read, _QUERY, answer=listed),
            Route("POST", all_of, self._create, f"Register a {kind}.", body=Change, answer=Resource, status=201),
            Route("GET", one, self._show, "One version; `latest` is the newest.", read, answer=Resource),
            Route("POST", f"{one}/archive", self._archive, "Take it out of the list.", answer=Resource),
            Route("POST", f"{one}/restore", self._restore, "Put it back.", answer=Resource),
            Route("DELETE", one, self._delete, "Forget a version that nothing uses.", status=204),
        ]

    async def _list(self, request: web.Request) -> web.Response:
        archived = cast("Archived", read_choice(request, "archived", ("no", "only", "all")))
        name = request.query.get("name")
        assets = await asyncio.to_thread(self._registry.list, self._kind, name, archived=archived)
        return reply([asset_resource(asset) for asset in assets])

    async def _create(self, request: web.Request) -> web.Response:
        change = await read_body(request, Change)
        asset, is_new = await self._intake.threads.run(self._intake.register, self._kind, change)
        return reply(asset_resource(asset), 201 if is_new else 200)

    async def _show(self, request: web.Request) -> web.Response:
        return reply(asset_resource(await asyncio.to_thread(self._registry.get, self._kind, *_version_of(request))))

    async def _archive(self, request: web.Request) -> web.Response:
        return reply(asset_resource(await asyncio.to_thread(self._registry.archive, self._kind, *_version_of(request))))

    async def _restore(self, request: web.Request) -> web.Response:
        return reply(asset_resource(await asyncio.to_thread(self._registry.restore, self._kind, *_version_of(request))))

    async def _delete(self, request: web.Request) -> web.Response:
        name, version = _version_of(request)
        async with self._lock:
            users = users_of(self._applier.resolved, self._kind, name, version)
            await asyncio.to_thread(self._registry.delete, self._kind, name, version, users=users)
        return web.Response(status=204)


class ContentRoutes:
    """Takes copies of files and folders, each under the digest of its content."""

    def __init__(self, store: ContentStore) -> None:
        self._store = store

    def routes(self) -> list[Route]:
        """Its routes."""
        return [
            Route("HEAD", _CONTENT, self._has, "Whether there is a copy of this content."),
            Route("PUT", _CONTENT, self._put, "Send content, as a tar stream.", status=201),
        ]

    async def _has(self, request: web.Request) -> web.Response:
        digest = request.match_info["digest"]
        if not await asyncio.to_thread(self._store.has, digest):
            raise NotFound(f"there is no copy of the content {digest}")
        return web.Response()

    async def _put(self, request: web.Request) -> web.Response:
        await self._store.receive(request.match_info["digest"], request.content.iter_any())
        return web.Response(status=201)


def _version_of(request: web.Request) -> tuple[str, str]:
    return request.match_info["name"], request.match_info["version"]
