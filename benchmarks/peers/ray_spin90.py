"""The scoring script under Ray Serve: one replica behind its HTTP proxy, on a cluster of this machine alone."""

import argparse
import time

import ray
import score
from ray import serve
from starlette.requests import Request


@serve.deployment(num_replicas=1, ray_actor_options={"num_cpus": 0.1}, max_ongoing_requests=100)
class Spin90:
    def __init__(self) -> None:
        score.init()

    async def __call__(self, request: Request) -> dict[str, object]:
        return score.run((await request.body()).decode())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--folder", required=True, help="for the cluster's files; sockets in it need a short path")
    arguments = parser.parse_args()
    ray.init(num_cpus=1, include_dashboard=False, _temp_dir=arguments.folder, object_store_memory=100 * 2**20)
    serve.start(http_options={"host": "127.0.0.1", "port": arguments.port})
    serve.run(Spin90.bind(), route_prefix="/score")
    print("ready", flush=True)
    while True:
        time.sleep(3600)


if __name__ == "__main__":
    main()
