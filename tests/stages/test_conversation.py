"""The stage that remembers: what it keeps, for whom, how long, and what it makes of a call that goes on."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.stages.scripted import Named, Said
from trunkline.core.call import Addressed, Call, Key, Peek
from trunkline.core.errors import (
    BadRequest,
    Elsewhere,
    GatewayError,
    NotFound,
    Overloaded,
    ShuttingDown,
    TooLarge,
    UpstreamError,
    UpstreamUnreachable,
)
from trunkline.core.reply import Reply
from trunkline.core.stores import Kept, StoreUnavailable
from trunkline.dialects import anthropic, openai_responses
from trunkline.edge.surfaces import Surface
from trunkline.stages.conversation import Conversation
from trunkline.stages.conversation.settings import ResponsesSettings
from trunkline.state.responses_memory import MemoryResponses

ASK = Surface("/v1/responses", openai_responses.DIALECT)
SHOW = Surface("/v1/responses/{id}", openai_responses.DIALECT, "response", method="GET")
CANCEL = Surface("/v1/responses/{id}/cancel", openai_responses.DIALECT, "response", form="cancel")
DELETE = Surface("/v1/responses/{id}", openai_responses.DIALECT, "response", method="DELETE", form="delete")
ITEMS = Surface(
    "/v1/responses/{id}/input_items", openai_responses.DIALECT, "response", method="GET", form="input_items"
)

THOUGHT = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "theirs"}
SEALED = {"type": "reasoning", "id": "rs_2", "summary": [], "encrypted_content": "tl1:anthropic:xyz"}
MESSAGE = {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed", "content": [{"type": "output_text", "text": "hi"}]}  # noqa: E501  # fmt: skip


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Spoken:
    """An API of one dialect."""

    dialect: Any


@dataclass
class Upstream:
    """The way onward: each step is an error, or an answer (id, output) of a target; the bodies it was asked by."""

    steps: list[Any]
    bodies: list[Any] = field(default_factory=list)
    own: list[Any] = field(default_factory=list)
    """What a target of the same dialect is sent."""
    calls: list[Call] = field(default_factory=list)

    async def __call__(self, call: Call) -> Reply:
        step = self.steps.pop(0)
        self.calls.append(call)
        self.bodies.append(json.loads(call.body) if call.body else None)
        if isinstance(step, BaseException):
            raise step
        if step is HANGS:
            await asyncio.Event().wait()
        target, dialect, named, output = step
        call.target, call.api = Named(target), Spoken(dialect)
        self.own.append(json.loads(call.follows.body(target)) if call.follows is not None else None)
        answer = {"id": named, "object": "response", "status": "completed", "output": output}
        assert call.peek is not None
        if not call.peek.stream:
            return Reply(Said(), body=json.dumps(answer).encode())
        last = {"type": "response.completed", "sequence_number": 7, "response": answer}
        head = b'event: response.output_text.delta\ndata: {"type":"response.output_text.delta","delta":"x"}\n\n'
        return Reply(Said(), source=Silent(), head=head + b"data: " + json.dumps(last).encode() + b"\n\n")


class Silent:
    async def read(self) -> bytes:
        return b""

    def close(self) -> None:
        pass


HANGS = object()
NATIVE = ("openai/gpt", openai_responses.DIALECT)
OTHER = ("claude/opus", anthropic.DIALECT)
AZURE = ("azure/gpt", openai_responses.DIALECT)


@dataclass
class Desk:
    """The stage, its store and its clock."""

    settings: ResponsesSettings = field(default_factory=ResponsesSettings)
    clock: Clock = field(default_factory=Clock)

    def __post_init__(self) -> None:
        self.store = MemoryResponses(1_000_000, self.clock)
        self.stage = Conversation(self.store, self.settings, self.clock)

    async def call(self, body: Any, *steps: Any, key: str = "key_1", surface: Surface = ASK, **more: Any) -> Any:
        """What the stage answers; (its JSON, who was asked)."""
        call = Call("req_1", surface, [], arrived=1000.0, started=0.0)
        call.key = Key(key, key)
        if body is not None:
            call.body = json.dumps({"model": "m"} | body).encode()
            call.peek = Peek("m", bool(body.get("stream")))
        call.addressed = Addressed(id=more.get("id", ""))
        call.query = more.get("query", b"")
        upstream = Upstream(list(steps))
        reply = await self.stage(call, upstream)
        reply.finish()
        return (json.loads(reply.body) if reply.body is not None else reply), upstream


@pytest.fixture
def desk() -> Desk:
    return Desk()


async def test_an_answer_is_found_by_its_key_until_it_expires(desk: Desk) -> None:
    answer, _ = await desk.call({"input": "hello"}, (*NATIVE, "resp_1", [MESSAGE]))
    assert (await desk.call(None, surface=SHOW, id="resp_1"))[0] == answer
    with pytest.raises(NotFound):
        await desk.call(None, surface=SHOW, id="resp_1", key="key_2")
    desk.clock.now += desk.settings.ttl - 1
    assert (await desk.call(None, surface=SHOW, id="resp_1"))[0] == answer
    desk.clock.now += 1
    with pytest.raises(NotFound):
        await desk.call(None, surface=SHOW, id="resp_1")


@pytest.mark.parametrize("body", [{"store": False}, {"store": False, "stream": True}])
async def test_what_shall_not_be_stored_is_not(desk: Desk, body: dict[str, Any]) -> None:
    await desk.call({"input": "hello"} | body, (*NATIVE, "resp_1", [MESSAGE]))
    with pytest.raises(NotFound):
        await desk.call(None, surface=SHOW, id="resp_1")


async def test_nothing_is_kept_where_the_settings_say_so() -> None:
    desk = Desk(ResponsesSettings(ttl=0))
    await desk.call({"input": "hello"}, (*NATIVE, "resp_1", [MESSAGE]))
    with pytest.raises(NotFound):
        await desk.call(None, surface=SHOW, id="resp_1")
    with pytest.raises(BadRequest, match="ttl is 0"):
        await desk.call({"input": "hello", "background": True})


async def test_a_stream_is_kept_by_its_last_event(desk: Desk) -> None:
    reply, _ = await desk.call({"input": "hello", "stream": True}, (*NATIVE, "resp_1", [MESSAGE]))
    assert b"response.completed" in reply.head
    assert (await desk.call(None, surface=SHOW, id="resp_1"))[0]["output"] == [MESSAGE]


async def test_who_made_the_answer_is_told_its_id_and_the_others_everything(desk: Desk) -> None:
    await desk.call({"input": "one"}, (*NATIVE, "resp_1", [THOUGHT, MESSAGE]))
    following = {"input": [{"role": "user", "content": "two"}], "previous_response_id": "resp_1", "seed": 1}
    answer, upstream = await desk.call(following, (*NATIVE, "resp_2", [MESSAGE]))
    assert upstream.calls[0].follows is not None
    assert upstream.calls[0].follows.target == "openai/gpt"
    assert upstream.own == [{"model": "m"} | following]
    one = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "one"}]}
    two = {"role": "user", "content": "two"}
    assert upstream.bodies == [{"model": "m", "input": [one, THOUGHT, MESSAGE, two], "seed": 1}]
    assert answer["previous_response_id"] == "resp_1"
    elsewhere = json.loads(upstream.calls[0].follows.body("azure/gpt"))
    bare = {name: value for name, value in MESSAGE.items() if name not in {"id", "status"}}
    assert elsewhere["input"] == [one, bare, two], "what only its maker can read goes to nobody else"
    same = json.loads(upstream.calls[0].follows.body("openai/another"))
    assert same["input"] == [one, THOUGHT, MESSAGE, two]


async def test_a_conversation_of_several_makers_keeps_each_ones_own(desk: Desk) -> None:
    await desk.call({"input": "one"}, (*OTHER, "resp_1", [SEALED, MESSAGE]))
    await desk.call({"input": "two", "previous_response_id": "resp_1"}, (*NATIVE, "resp_2", [THOUGHT, MESSAGE]))
    _, upstream = await desk.call({"input": "three", "previous_response_id": "resp_2"}, (*AZURE, "resp_3", []))
    assert upstream.calls[0].follows is not None
    sealed = {name: value for name, value in SEALED.items() if name != "id"}
    bare = {name: value for name, value in MESSAGE.items() if name not in {"id", "status"}}
    for target, first, second in (
        ("azure/gpt", [sealed, bare], [bare]),
        ("openai/gpt-2", [sealed, bare], [THOUGHT, MESSAGE]),
        ("claude/opus", [SEALED, MESSAGE], [bare]),
    ):
        items = json.loads(upstream.calls[0].follows.body(target))["input"]
        assert [item for item in items if item.get("role") != "user"] == [*first, *second], target
    assert len(upstream.bodies[0]["input"]) == 7


async def test_the_same_conversation_is_the_same_bytes(desk: Desk) -> None:
    await desk.call({"input": "one"}, (*OTHER, "resp_1", [SEALED, MESSAGE]))
    bodies = []
    for _ in range(2):
        _, upstream = await desk.call({"input": "two", "previous_response_id": "resp_1"}, (*OTHER, "resp_2", [MESSAGE]))
        bodies.append(upstream.calls[0].body)
    _, upstream = await desk.call({"input": "three", "previous_response_id": "resp_2"}, (*OTHER, "resp_3", []))
    assert bodies[0] == bodies[1]
    assert upstream.calls[0].body.startswith(bodies[0].removesuffix(b"]}"))


async def test_who_has_forgotten_is_told_everything(desk: Desk) -> None:
    await desk.call({"input": "one"}, (*NATIVE, "resp_1", [MESSAGE]))
    gone = UpstreamError("gone", status=400, upstream_code="previous_response_not_found")
    _, upstream = await desk.call(
        {"input": "two", "previous_response_id": "resp_1"}, gone, (*NATIVE, "resp_2", [MESSAGE])
    )
    assert len(upstream.own[0]["input"]) == 3
    with pytest.raises(UpstreamError):
        await desk.call({"input": "two", "previous_response_id": "resp_1"}, gone, gone)


@pytest.mark.parametrize("previous", ["resp_unknown", "resp_of_another"])
async def test_an_unknown_conversation_is_refused_by_name(desk: Desk, previous: str) -> None:
    await desk.call({"input": "one"}, (*NATIVE, "resp_of_another", []), key="key_2")
    with pytest.raises(BadRequest, match=previous) as refused:
        await desk.call({"input": "two", "previous_response_id": previous})
    assert (refused.value.code, refused.value.param) == ("previous_response_not_found", "previous_response_id")


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"store": "yes"}, "store"),
        ({"background": 1}, "background"),
        ({"previous_response_id": 3}, "previous_response_id"),
        ({"background": True, "store": False}, "background"),
        ({"previous_response_id": "resp_1", "conversation": "conv_1"}, "previous_response_id"),
    ],
)
async def test_a_wrong_field_is_named(desk: Desk, body: dict[str, Any], param: str) -> None:
    with pytest.raises(BadRequest) as refused:
        await desk.call({"input": "x"} | body)
    assert refused.value.param == param


async def test_a_conversation_has_a_largest_size() -> None:
    desk = Desk(ResponsesSettings(max_size=1024))
    await desk.call({"input": "x" * 600}, (*NATIVE, "resp_1", [MESSAGE]))
    with pytest.raises(TooLarge, match="max_size"):
        await desk.call({"input": "x" * 600, "previous_response_id": "resp_1"})
    await desk.call({"input": "x" * 2000}, (*NATIVE, "resp_2", [MESSAGE]))
    with pytest.raises(NotFound):
        await desk.call(None, surface=SHOW, id="resp_2")


async def test_a_store_that_is_down_stops_only_who_needs_it(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    async def down(key: str, id: str) -> Kept | None:
        raise StoreUnavailable("disk on fire")

    monkeypatch.setattr(desk.store, "find", down)
    with pytest.raises(Overloaded) as refused:
        await desk.call({"input": "two", "previous_response_id": "resp_1"})
    assert refused.value.code == "responses_unavailable"
    assert "fire" not in refused.value.message
    answer, _ = await desk.call({"input": "one"}, (*NATIVE, "resp_1", [MESSAGE]))
    assert answer["id"] == "resp_1"


# ── Later ──────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_input_items_come_in_pages(desk: Desk) -> None:
    await desk.call({"input": "one"}, (*NATIVE, "resp_1", [MESSAGE]))
    await desk.call({"input": "two", "previous_response_id": "resp_1"}, (*NATIVE, "resp_2", []))

    async def page(query: bytes) -> Any:
        return (await desk.call(None, surface=ITEMS, id="resp_2", query=query))[0]

    whole = await page(b"order=asc")
    ids = [item["id"] for item in whole["data"]]
    assert [item["content"][0]["text"] for item in whole["data"]] == ["one", "hi", "two"]
    assert len(set(ids)) == 3
    assert (whole["first_id"], whole["last_id"], whole["has_more"]) == (ids[0], ids[2], False)
    assert [item["id"] for item in (await page(b""))["data"]] == ids[::-1]
    first = await page(b"limit=2")
    assert ([item["id"] for item in first["data"]], first["has_more"]) == (ids[:0:-1], True)
    rest = await page(b"limit=2&after=" + first["last_id"].encode())
    assert ([item["id"] for item in rest["data"]], rest["has_more"]) == (ids[:1], False)


@pytest.mark.parametrize(
    ("query", "param"),
    [
        (b"limit=0", "limit"),
        (b"limit=101", "limit"),
        (b"order=up", "order"),
        (b"after=x", "after"),
        (b"&".join([b"a=1"] * 65), None),
    ],
)
async def test_a_wrong_page_is_named(desk: Desk, query: bytes, param: str | None) -> None:
    await desk.call({"input": "one"}, (*NATIVE, "resp_1", [MESSAGE]))
    with pytest.raises(BadRequest) as refused:
        await desk.call(None, surface=ITEMS, id="resp_1", query=query)
    assert refused.value.param == param


async def test_deletion_reaches_the_provider_that_remembers(desk: Desk) -> None:
    await desk.call({"input": "one"}, (*NATIVE, "resp_1", [MESSAGE]))
    with pytest.raises(UpstreamUnreachable):
        await desk.call(None, UpstreamUnreachable("x"), surface=DELETE, id="resp_1")
    await desk.call(None, surface=SHOW, id="resp_1")
    answer, upstream = await desk.call(None, UpstreamError("gone", status=404), surface=DELETE, id="resp_1")
    assert answer == {"id": "resp_1", "object": "response", "deleted": True}
    assert upstream.calls[0].peek == Peek("openai/gpt")
    with pytest.raises(NotFound):
        await desk.call(None, surface=SHOW, id="resp_1")
    await desk.call({"input": "one"}, (*OTHER, "resp_2", [MESSAGE]))
    _, upstream = await desk.call(None, surface=DELETE, id="resp_2")
    assert upstream.calls == []


async def test_what_is_not_in_the_background_is_neither_cancelled_nor_streamed_again(desk: Desk) -> None:
    await desk.call({"input": "one"}, (*NATIVE, "resp_1", [MESSAGE]))
    with pytest.raises(BadRequest, match="synchronous"):
        await desk.call(None, surface=CANCEL, id="resp_1")
    with pytest.raises(BadRequest, match="cannot be streamed"):
        await desk.call(None, surface=SHOW, id="resp_1", query=b"stream=true")


# ── The background ─────────────────────────────────────────────────────────────────────────────────────────────────


async def test_the_background_ends_with_all_that_was_said(desk: Desk) -> None:
    queued, _ = await desk.call({"input": "one", "background": True}, (*OTHER, "resp_there", [MESSAGE]))
    assert (queued["status"], queued["background"]) == ("queued", True)
    run = desk.stage.runs.find(await _kept(desk, queued["id"]))
    assert run is not None
    await run.task
    done, _ = await desk.call(None, surface=SHOW, id=queued["id"])
    assert (done["status"], done["id"], done["output"]) == ("completed", queued["id"], [MESSAGE])
    reply, _ = await desk.call(None, surface=SHOW, id=queued["id"], query=b"stream=true&starting_after=0")
    told = reply.flow.feed(await reply.source.read())
    events = [json.loads(line[6:]) for line in told.split(b"\n") if line.startswith(b"data: ")]
    assert [(event["sequence_number"], event["type"]) for event in events] == [
        (1, "response.queued"),
        (2, "response.output_text.delta"),
        (3, "response.completed"),
    ]
    assert await reply.source.read() == b""


async def _kept(desk: Desk, id: str) -> Kept:
    kept = await desk.store.find("key_1", id)
    assert kept is not None
    return kept


@pytest.mark.parametrize("error", [UpstreamUnreachable("no way"), ShuttingDown("bye")])
async def test_the_background_fails_in_words(desk: Desk, error: GatewayError) -> None:
    queued, _ = await desk.call({"input": "one", "background": True}, error)
    run = desk.stage.runs.find(await _kept(desk, queued["id"]))
    assert run is not None
    await run.task
    done, _ = await desk.call(None, surface=SHOW, id=queued["id"])
    assert (done["status"], done["error"]["message"]) == ("failed", error.message)


@pytest.mark.parametrize("begun", [True, False])
async def test_the_background_is_bounded_and_ends_with_the_gateway(begun: bool) -> None:
    desk = Desk(ResponsesSettings(max_background=1))
    queued, _ = await desk.call({"input": "one", "background": True}, HANGS)
    with pytest.raises(Overloaded) as refused:
        await desk.call({"input": "one", "background": True})
    assert refused.value.code == "too_many_background_responses"
    with pytest.raises(BadRequest, match="in progress"):
        await desk.call({"input": "two", "previous_response_id": queued["id"]})
    if begun:
        await asyncio.sleep(0)
    await desk.stage.aclose(ShuttingDown("bye"))
    assert desk.stage.runs.active == 0
    assert json.loads((await _kept(desk, queued["id"])).response)["error"]["message"] == "bye"


async def test_only_so_many_streams_of_the_background_are_kept(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    async def done() -> Kept:
        queued, _ = await desk.call({"input": "one", "background": True}, (*OTHER, "resp_there", [MESSAGE]))
        kept = await _kept(desk, queued["id"])
        run = desk.stage.runs.find(kept)
        assert run is not None
        await run.task
        await asyncio.sleep(0)
        return kept

    one = await done()
    assert desk.stage.runs.find(one) is not None
    monkeypatch.setattr("trunkline.stages.conversation.background.LINGERING", 1)
    two = await done()
    assert [desk.stage.runs.find(one) is None, desk.stage.runs.find(two) is None] == [True, False]
    monkeypatch.setattr("trunkline.stages.conversation.background.LINGERING_BYTES", 10)
    three = await done()
    assert desk.stage.runs.find(three) is None
    with pytest.raises(BadRequest, match="no longer kept"):
        await desk.call(None, surface=SHOW, id=three.id, query=b"stream=true")


async def test_an_answer_in_the_background_has_a_largest_size() -> None:
    desk = Desk(ResponsesSettings(max_size=2048))
    long = MESSAGE | {"content": [{"type": "output_text", "text": "x" * 3000}]}
    queued, _ = await desk.call({"input": "one", "background": True}, (*OTHER, "resp_there", [long]))
    run = desk.stage.runs.find(await _kept(desk, queued["id"]))
    assert run is not None
    await run.task
    assert json.loads(run.response)["status"] == "failed"
    assert "max_size" in json.loads(run.response)["error"]["message"]
    assert (await _kept(desk, queued["id"])).running is False
    with pytest.raises(TooLarge):
        await desk.call({"input": "x" * 2048, "background": True})


@pytest.mark.parametrize("begun", [True, False])
async def test_the_background_is_cancelled_before_and_after_it_has_begun(desk: Desk, begun: bool) -> None:
    queued, _ = await desk.call({"input": "one", "background": True, "stream": False}, HANGS)
    if begun:
        await asyncio.sleep(0)
    for _ in range(2):
        answer, _ = await desk.call(None, surface=CANCEL, id=queued["id"])
        assert (answer["status"], answer["error"]) == ("cancelled", None)
    assert (await _kept(desk, queued["id"])).running is False


async def test_what_another_gateway_makes_is_said_to_be_there(desk: Desk) -> None:
    body = json.dumps({"id": "resp_1", "status": "queued", "background": True, "output": []}).encode()
    desk.store.keep(Kept("resp_1", "key_1", 1000.0, 2000.0, body, running=True))
    assert (await desk.call(None, surface=SHOW, id="resp_1"))[0]["status"] == "queued"
    for surface, query in ((SHOW, b"stream=true"), (CANCEL, b""), (DELETE, b"")):
        with pytest.raises(Elsewhere):
            await desk.call(None, surface=surface, id="resp_1", query=query)
