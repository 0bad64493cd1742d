"""Who asked and who answered: request ids, the client's own id, the pin."""

import re

import pytest

from tests.proxy.conftest import Proxy, deployment, endpoint, post
from tests.proxy.peers import answer_ok

UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


async def test_every_request_gets_an_id_of_its_own(proxy: Proxy, peer, client) -> None:
    """A new id in the form of a UUID, the same for client and instance."""
    instance = await peer(answer_ok)
    proxy.apply(endpoint(deployment("blue", instance)))
    ids = []
    for _ in range(5):
        async with client.post(proxy.url, data=b"{}") as answer:
            ids.append(answer.headers["x-request-id"])
    assert all(UUID.fullmatch(one) for one in ids)
    assert len(set(ids)) == 5
    assert [seen.values("x-request-id") for seen in instance.seen] == [[one.encode()] for one in ids]


async def test_a_clients_request_id_is_overwritten(proxy: Proxy, peer, client) -> None:
    """What a client or a model claims as the request's id is neither's to say."""
    instance = await peer(answer_ok)
    proxy.apply(endpoint(deployment("blue", instance)))
    async with client.post(proxy.url, data=b"{}", headers={"X-Request-ID": "mine"}) as answer:
        assert answer.headers.getall("x-request-id") != ["mine"]
        assert len(answer.headers.getall("x-request-id")) == 1
    assert b"mine" not in instance.seen[0].values("x-request-id")


@pytest.mark.parametrize("key", ["the-primary-key", "wrong"])
@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("abc-DEF_123", b"abc-DEF_123"),
        ("a b;c\td", b"abcd"),
        ("x" * 50, b"x" * 40),
        ("caf\xe9", b"caf"),
        ("<script>", b"script"),
    ],
)
async def test_the_clients_own_id_comes_back_cleaned(
    proxy: Proxy, peer, raw, given: str, kept: bytes, key: str
) -> None:
    """Letters, digits, `_` and `-`, at most 40, also on a refusal."""
    proxy.apply(endpoint(deployment("blue", await peer(answer_ok))))
    one = await raw()
    await one.send(post(b"{}", f"X-MS-Client-Request-Id: {given}", key=key))
    _, head, _ = await one.answer()
    assert b"\r\nx-ms-client-request-id: " + kept + b"\r\n" in head


@pytest.mark.parametrize("lines", [(), ("x-ms-client-request-id: !!",), ("x-ms-client-request-id:",)])
async def test_without_a_client_id_there_is_none_in_the_answer(proxy: Proxy, peer, raw, lines: tuple[str, ...]) -> None:
    """Nothing is made up, and nothing is left of an id that has no allowed character."""
    instance = await peer(answer_ok)
    proxy.apply(endpoint(deployment("blue", instance)))
    one = await raw()
    await one.send(post(b"{}", *lines))
    _, head, _ = await one.answer()
    assert b"x-ms-client-request-id" not in head.lower()
    assert instance.seen[0].values("x-ms-client-request-id") == []


@pytest.mark.parametrize("name", ["green", "GREEN", "Green"])
@pytest.mark.parametrize("field", ["azureml-model-deployment", "AzureML-Model-Deployment"])
async def test_a_pin_is_followed_in_any_case(proxy: Proxy, peer, raw, field: str, name: str) -> None:
    """The pinned deployment answers whatever its weight, and is named as it is written in the config."""
    blue, green = await peer(answer_ok), await peer(answer_ok)
    proxy.apply(endpoint(deployment("blue", blue), deployment("Green", green)))
    one = await raw()
    await one.send(post(b"{}", f"{field}: {name}"))
    status, head, _ = await one.answer()
    assert status == 200
    assert b"\r\nazureml-model-deployment: Green\r\n" in head
    assert (len(blue.seen), len(green.seen)) == (0, 1)
    assert (proxy.stats("Green").pinned, proxy.stats("Green").live) == ({200: 1}, {})


async def test_who_answers_follows_the_weights(proxy: Proxy, peer, client) -> None:
    """All of the live weight on the second deployment: it answers every request, and says so."""
    blue, green = await peer(answer_ok), await peer(answer_ok)
    traffic = (("blue", 0.0), ("green", 100.0))
    proxy.apply(endpoint(deployment("blue", blue), deployment("green", green), traffic=traffic))
    for _ in range(20):
        async with client.post(proxy.url, data=b"{}") as answer:
            assert answer.headers["azureml-model-deployment"] == "green"
    assert (len(blue.seen), len(green.seen)) == (0, 20)


async def test_an_open_connection_follows_the_newest_table(proxy: Proxy, peer, raw) -> None:
    """A keep-alive connection is bound to no generation."""
    blue, green = deployment("blue", await peer(answer_ok)), deployment("green", await peer(answer_ok))
    one = await raw()
    heads = []
    for order in ((blue, green), (green, blue)):
        proxy.apply(endpoint(*order))
        await one.send(post())
        heads.append((await one.answer())[1])
    assert [b"azureml-model-deployment: blue" in heads[0], b"azureml-model-deployment: green" in heads[1]] == [
        True,
        True,
    ]
    assert [b"x-teal-generation: 1" in heads[0], b"x-teal-generation: 2" in heads[1]] == [True, True]
