"""The auth stage alone: who calls, in which order things are looked at, and what a key may ask for."""

from __future__ import annotations

import pytest

from tests.stages.scripted import Inner, Ring, Said, a_call
from trunkline.core.call import Call, Headers, Key
from trunkline.core.errors import BadRequest, Forbidden, Unauthenticated
from trunkline.core.reply import Reply
from trunkline.stages.auth import ANYONE, Auth, presented

NOW = 1000.0
KEYS = {
    b"plain": Key("k1", "plain", tags=("team",)),
    b"off": Key("k2", "off", disabled=True),
    b"old": Key("k3", "old", expires_at=NOW),
    b"fresh": Key("k4", "fresh", expires_at=NOW + 1),
    b"some": Key("k5", "some", models=("gpt-*", "smart")),
    b"open": Key("k6", "open", capture="full"),
}


def auth(*, required: bool = True) -> tuple[Auth, Ring]:
    ring = Ring(KEYS)
    return Auth(ring if required else None, "metadata", lambda: NOW), ring


def bearing(secret: str) -> Headers:
    return [(b"authorization", b"Bearer " + secret.encode())]


AWS = (
    b"AWS4-HMAC-SHA256 Credential=%s/20261122/us-east-1/bedrock/aws4_request, SignedHeaders=host;x-amz-date, "
    b"Signature=00ff"
)

HEADERS: list[tuple[Headers, bytes | None]] = [
    ([(b"authorization", b"Bearer s")], b"s"),
    ([(b"authorization", b"bearer   s  ")], b"s"),
    ([(b"authorization", b"Bearer ")], None),
    ([(b"authorization", b"Basic s")], None),
    ([(b"authorization", b"s")], None),
    ([(b"x-api-key", b" s ")], b"s"),
    ([(b"api-key", b"s")], b"s"),
    ([(b"x-api-key", b"")], None),
    ([(b"authorization", b"Basic x"), (b"x-api-key", b"s")], b"s"),
    ([(b"x-api-key", b"first"), (b"authorization", b"Bearer second")], b"first"),
    ([(b"cookie", b"s")], None),
    ([(b"x-goog-api-key", b"s")], b"s"),
    ([(b"authorization", AWS % b"s")], b"s"),
    ([(b"authorization", b"AWS4-HMAC-SHA256 nothing of the sort")], None),
    ([(b"authorization", AWS % b"")], None),
    ([], None),
]


@pytest.mark.parametrize(("headers", "secret"), HEADERS)
def test_where_a_secret_is_looked_for(headers: Headers, secret: bytes | None) -> None:
    assert presented(headers) == secret


@pytest.mark.parametrize(
    ("query", "secret"),
    [
        (b"key=s", b"s"),
        (b"alt=sse&key=s%2B1", b"s+1"),
        (b"monkey=s", None),
        (b"key=", None),
        (b"", None),
    ],
)
def test_google_clients_may_put_it_into_the_query(query: bytes, secret: bytes | None) -> None:
    assert presented([], query) == secret
    assert presented([(b"x-goog-api-key", b"header")], query) == b"header", "a header field counts more"


async def test_a_key_in_the_query_is_known() -> None:
    stage, _ = auth()
    call, reply = a_call(), Reply(Said(), body=b"")
    call.query = b"alt=sse&key=plain"
    assert await stage(call, Inner([reply])) is reply
    assert call.key == KEYS[b"plain"]


@pytest.mark.parametrize("secret", ["plain", "fresh", "some", "open"])
async def test_a_good_key_goes_on(secret: str) -> None:
    stage, ring = auth()
    call, reply = a_call(headers=bearing(secret)), Reply(Said(), body=b"")
    assert await stage(call, Inner([reply])) is reply
    assert call.key == KEYS[secret.encode()]
    assert call.capture == (KEYS[secret.encode()].capture or "metadata")
    assert ring.waited == 1


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ([], "missing_api_key"),
        (bearing("unknown"), "invalid_api_key"),
        (bearing("off"), "disabled_api_key"),
        (bearing("old"), "expired_api_key"),
    ],
)
async def test_a_bad_key_ends_the_call_before_its_body_is_read(headers: Headers, code: str) -> None:
    stage, _ = auth()
    call, inner = a_call(headers=headers), Inner([])
    with pytest.raises(Unauthenticated) as caught:
        await stage(call, inner)
    assert caught.value.code == code
    assert call.body == b""
    assert call.key is None
    assert inner.targets == []


@pytest.mark.parametrize(("model", "allowed"), [("gpt-5", True), ("smart", True), ("smarter", False), ("o3", False)])
async def test_a_key_may_be_bound_to_models(model: str, allowed: bool) -> None:
    stage, _ = auth()
    call, inner = a_call(model, bearing("some")), Inner([Reply(Said(), body=b"")])
    if allowed:
        await stage(call, inner)
    else:
        with pytest.raises(Forbidden) as caught:
            await stage(call, inner)
        assert (caught.value.code, caught.value.param) == ("model_not_allowed", "model")
    assert len(inner.targets) == int(allowed)


@pytest.mark.parametrize(
    ("body", "path"),
    [
        (b'{"fallbacks":[{"model":"dear"}]}', "fallbacks"),
        (b'{"fallbacks":"default"}', "fallbacks"),
        (b'{"models":["dear"]}', "models"),
        (b'{"Models":["dear"]}', "Models"),
        (b'{"fallb\\u0061cks":"default"}', "fallbacks"),
        (b'{"providerOptions":{"gateway":{"models":["dear"]}}}', "providerOptions"),
        (b'{"tools":[{"name":"f"},{"type":"advisor_20260301","name":"advisor","model":"dear"}]}', "tools[1].model"),
        (b'{"additionalModelRequestFields":{"fallbacks":[]}}', "additionalModelRequestFields.fallbacks"),
    ],
)
async def test_a_key_bound_to_models_may_name_no_others_beside_its_own(body: bytes, path: str) -> None:
    stage, _ = auth()
    inner = Inner([Reply(Said(), body=b"")])
    with pytest.raises(Forbidden) as caught:
        await stage(a_call("smart", bearing("some"), body), inner)
    assert (caught.value.code, caught.value.param) == ("model_not_allowed", path)
    await stage(a_call("smart", bearing("plain"), body), inner)
    assert len(inner.targets) == 1


@pytest.mark.parametrize(
    "body",
    [b"--form", b'{"tools":[{"name":"f","input_schema":{"model":1}}]}', b'{"fallbacks":null}', b'{"tools":"x"}', b"[]"],
)
async def test_what_names_no_other_model_passes(body: bytes) -> None:
    stage, _ = auth()
    inner = Inner([Reply(Said(), body=b"")])
    await stage(a_call("smart", bearing("some"), body), inner)
    assert len(inner.targets) == 1


async def test_a_keys_tags_come_before_the_callers() -> None:
    stage, _ = auth()
    call = a_call(headers=bearing("plain"))
    read = call.load

    async def load(call: Call) -> None:
        call.tags = (*call.tags, "mine")
        await read(call)

    call.load = load
    await stage(call, Inner([Reply(Said(), body=b"")]))
    assert call.tags == ("team", "mine")


async def test_open_means_anyone() -> None:
    stage, _ = auth(required=False)
    call = a_call(headers=bearing("nonsense"))
    await stage(call, Inner([Reply(Said(), body=b"")]))
    assert call.key is ANYONE


async def test_a_body_that_cannot_be_read_ends_the_call_with_its_key_known() -> None:
    stage, _ = auth()
    call, inner = a_call(headers=bearing("plain")), Inner([])

    async def load(call: Call) -> None:
        raise BadRequest("no JSON")

    call.load = load
    with pytest.raises(BadRequest):
        await stage(call, inner)
    assert call.key == KEYS[b"plain"]
    assert inner.targets == []
