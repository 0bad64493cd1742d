"""Routes of endpoints and deployments: what there is, and commands that change it."""

from collections.abc import Callable

import msgspec
from aiohttp import web

from router.control.api.messages import Change, KeyChoice, Keys, Operation, Token
from router.control.api.resources import Resource, deployment_resource, endpoint_resource, endpoint_state
from router.control.api.routes import Access, Handler, Route, read_body, reply
from router.control.applier import Applier
from router.control.commands.commands import Commands
from router.control.config.schema import EndpointConfig
from router.control.states import DeploymentKey

_ENDPOINTS = "/v1/endpoints"
_ENDPOINT = "/v1/endpoints/{endpoint}"
_DEPLOYMENTS = "/v1/endpoints/{endpoint}/deployments"
_DEPLOYMENT = "/v1/endpoints/{endpoint}/deployments/{deployment}"
_READ = Access.READ


class EndpointRoutes:
    """Answers for endpoints and deployments.

    Args:
        base_url: Says where clients reach the router, such as `http://127.0.0.1:8080`.
    """

    def __init__(self, commands: Commands, applier: Applier, base_url: Callable[[], str]) -> None:
        self._commands = commands
        self._applier = applier
        self._base_url = base_url

    def routes(self) -> list[Route]:
        """Its routes."""
        return [
            Route("GET", _ENDPOINTS, self._list_endpoints, "Every endpoint.", _READ, answer=list[Resource]),
            Route("GET", _ENDPOINT, self._show_endpoint, "One endpoint.", _READ, answer=Resource),
            _command("PUT", _ENDPOINT, self._put_endpoint, "Create an endpoint, or change it.", Change),
            _command("PATCH", _ENDPOINT, self._patch_endpoint, "Change an endpoint.", Change),
            _command("DELETE", _ENDPOINT, self._delete_endpoint, "Delete an endpoint and its deployments."),
            Route("GET", f"{_ENDPOINT}/credentials", self._credentials, "What opens an endpoint.", answer=Keys | Token),
            Route("POST", f"{_ENDPOINT}/keys", self._regenerate, "Replace a key.", body=KeyChoice, status=204),
            Route("GET", _DEPLOYMENTS, self._list_deployments, "Its deployments.", answer=list[Resource]),
            Route("GET", _DEPLOYMENT, self._show_deployment, "One deployment.", answer=Resource),
            _command("PUT", _DEPLOYMENT, self._put_deployment, "Create or replace a deployment.", Change),
            _command("PATCH", _DEPLOYMENT, self._patch_deployment, "Change a deployment.", Change),
            _command("DELETE", _DEPLOYMENT, self._delete_deployment, "Delete a deployment."),
        ]

    async def _list_endpoints(self, _request: web.Request) -> web.Response:
        return reply([self._endpoint(name, config) for name, config in self._applier.config.endpoints.items()])

    async def _show_endpoint(self, request: web.Request) -> web.Response:
        return reply(self._endpoint(*self._applier.endpoint(_endpoint_of(request))))

    async def _put_endpoint(self, request: web.Request) -> web.Response:
        change = await read_body(request, Change)
        return reply(await self._commands.put_endpoint(_endpoint_of(request), change), 202)

    async def _patch_endpoint(self, request: web.Request) -> web.Response:
        change = await read_body(request, Change)
        return reply(await self._commands.patch_endpoint(_endpoint_of(request), change), 202)

    async def _delete_endpoint(self, request: web.Request) -> web.Response:
        return reply(await self._commands.delete_endpoint(_endpoint_of(request)), 202)

    async def _credentials(self, request: web.Request) -> web.Response:
        return reply(await self._commands.credentials(_endpoint_of(request)))

    async def _regenerate(self, request: web.Request) -> web.Response:
        choice = await read_body(request, KeyChoice)
        await self._commands.regenerate(_endpoint_of(request), choice.key_type)
        return web.Response(status=204)

    async def _list_deployments(self, request: web.Request) -> web.Response:
        endpoint, config = self._applier.endpoint(_endpoint_of(request))
        return reply([self._deployment(DeploymentKey((endpoint, name))) for name in config.deployments])

    async def _show_deployment(self, request: web.Request) -> web.Response:
        key, _ = self._applier.deployment(*_deployment_of(request))
        return reply(self._deployment(key))

    async def _put_deployment(self, request: web.Request) -> web.Response:
        change = await read_body(request, Change)
        return reply(await self._commands.put_deployment(*_deployment_of(request), change), 202)

    async def _patch_deployment(self, request: web.Request) -> web.Response:
        change = await read_body(request, Change)
        return reply(await self._commands.patch_deployment(*_deployment_of(request), change), 202)

    async def _delete_deployment(self, request: web.Request) -> web.Response:
        return reply(await self._commands.delete_deployment(*_deployment_of(request)), 202)

    def _endpoint(self, name: str, config: EndpointConfig) -> Resource:
        held = self._applier.held.get(name, "")
        has_failed = self._applier.failed_live(name) is not None
        state = endpoint_state(self._commands.operations.under_way(name), held=held, has_failed=has_failed)
        return endpoint_resource(name, config, base_url=self._base_url(), state=state, held=held)

    def _deployment(self, key: DeploymentKey) -> Resource:
        endpoint = self._applier.config.endpoints[key[0]]
        return deployment_resource(
            key,
            endpoint.deployments[key[1]],
            self._applier.status_of(key),
            weight=endpoint.traffic.get(key[1], 0),
            mirror_percent=endpoint.mirror_traffic.get(key[1], 0),
        )


def _command(method: str, path: str, handler: Handler, summary: str, body: type[msgspec.Struct] | None = None) -> Route:
    """A route whose answer is an operation that has begun."""
    return Route(method, path, handler, summary, body=body, answer=Operation, status=202)


def _endpoint_of(request: web.Request) -> str:
    return request.match_info["endpoint"]


def _deployment_of(request: web.Request) -> tuple[str, str]:
    return request.match_info["endpoint"], request.match_info["deployment"]
