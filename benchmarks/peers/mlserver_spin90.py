"""The scoring script under MLServer, on a route of its own: MLServer's protocol would need other requests."""

import json

import score
from fastapi import Request, Response
from mlserver import MLModel
from mlserver.handlers import custom_handler


class Spin90(MLModel):
    async def load(self) -> bool:
        score.init()
        return True

    @custom_handler(rest_path="/score")
    async def score(self, request: Request) -> Response:
        answer = score.run((await request.body()).decode())
        return Response(json.dumps(answer), media_type="application/json")
