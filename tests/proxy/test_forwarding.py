"""What goes through the proxy arrives as it was sent, in both directions."""



from tests.proxy.conftest import Proxy, deployment, endpoint
from tests.proxy.peers import answer_ok


async def test_a_scoring_request_is_answered_by_the_model(proxy: Proxy, peer, client) -> None:
    """A POST with the key gets the model's answer, and headers that say who answered."""
    proxy.apply(endpoint(deployment("blue", await peer(answer_ok))))
    async with client.post(proxy.url, json={"data": [1]}) as answer:
        assert answer.status == 200
        assert await answer.read() == b'{"y": 1}'
        assert answer.headers["azureml-model-deployment"] == "blue"
        assert answer.headers["x-teal-generation"] == "1"
        assert len(answer.headers["x-request-id"]) == 36
        assert answer.headers["server-timing"].startswith("router;dur=")
