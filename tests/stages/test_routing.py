"""The routing stage alone: which targets it tries, when it stops, and what it writes down of each."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from tests.stages.scripted import Clock, Inner, Named, Place, Said, a_call
from trunkline.core.call import Call, Peek
from trunkline.core.errors import (
    GatewayError,
    InternalError,
    ModelNotFound,
    UnsupportedCapability,
    UpstreamError,
    UpstreamTimeout,
)
from trunkline.core.reply import Reply
from trunkline.core.request import Request
from trunkline.dialects import openai_chat
from trunkline.policy.needs import Ability, Needs
from trunkline.policy.standing import Board
from trunkline.stages.routing import Routing
from trunkline.stages.routing.able import Offer
from trunkline.stages.routing.route import Routes
from trunkline.stages.routing.settings import RoutingSettings

A, B, C = Named("one/a"), Named("two/b"), Named("three/c")
PASSING = UpstreamError("busy", status=503, code="upstream_overloaded", retryable=True)
FATAL = UpstreamError("wrong", status=400, code="upstream_invalid_request", retryable=False)
OUR_OWN = InternalError("oops")


def reply() -> Reply:
    return Reply(Said(), body=b"{}")


def routed(resolve: Callable[[str], Sequence[Named]], offer: Offer | None = None) -> Routing:
    """The stage, for names that the configuration does not have."""
    return Routing(Routes({}, {}, resolve, Board()), RoutingSettings(), Clock(50.0), lambda: 0.5, offer)


def asked() -> Call:
    call = a_call()
    call.peek = Peek("smart")
    return call


CASES: list[tuple[str, list[Any], list[Named], type[GatewayError] | None, list[str | None]]] = [
    ("the first answers", [reply()], [A], None, [None]),
    ("the second answers", [PASSING, reply()], [A, B], None, ["upstream_overloaded", None]),
    ("the third answers", [PASSING, PASSING, reply()], [A, B, C], None, ["upstream_overloaded"] * 2 + [None]),
    ("all fail", [PASSING] * 3, [A, B, C], UpstreamError, ["upstream_overloaded"] * 3),
    ("fatal at once", [FATAL], [A], UpstreamError, ["upstream_invalid_request"]),
    ("fatal at the second", [PASSING, FATAL], [A, B], UpstreamError, ["upstream_overloaded", FATAL.code]),
    ("the gateway's own", [OUR_OWN], [A], InternalError, ["internal_error"]),
]


@pytest.mark.parametrize(
    ("steps", "tried", "raised", "reasons"), [case[1:] for case in CASES], ids=[c[0] for c in CASES]
)
async def test_targets_are_tried_in_order_until_one_answers_or_none_can(
    steps: list[Any], tried: list[Named], raised: type[GatewayError] | None, reasons: list[str | None]
) -> None:
    call, inner = asked(), Inner(list(steps))
    stage = routed(lambda model: (A, B, C))
    if raised is None:
        answer = await stage(call, inner)
        assert answer is steps[-1]
        answer.finish()
    else:
        with pytest.raises(raised):
            await stage(call, inner)
    assert inner.targets == tried
    assert call.target is tried[-1]
    assert [each.target for each in call.attempts] == [target.name for target in tried]
    assert [each.reason for each in call.attempts] == reasons
    starts = [each.start for each in call.attempts]
    assert starts == sorted(starts)
    assert starts[0] == 1.0
    assert [each.duration for each in call.attempts if each.reason] == [1.0] * len([each for each in reasons if each])


async def test_what_one_target_could_not_be_told_is_not_held_against_the_next() -> None:
    call = asked()

    async def inner(call: Call) -> Reply:
        if call.target is A:
            call.lost.append("seed")
            raise PASSING
        return reply()

    await routed(lambda model: (A, B))(call, inner)
    assert call.lost == []


async def test_a_deadline_that_has_passed_ends_the_call() -> None:
    call, inner = asked(), Inner([UpstreamTimeout("late"), reply()])
    call.deadline = 51.0
    with pytest.raises(UpstreamTimeout):
        await routed(lambda model: (A, B))(call, inner)
    assert inner.targets == [A]


async def test_a_cancelled_attempt_is_written_down() -> None:
    call, inner = asked(), Inner([asyncio.CancelledError()])
    with pytest.raises(asyncio.CancelledError):
        await routed(lambda model: (A, B))(call, inner)
    assert [(each.status, each.reason) for each in call.attempts] == [(499, "client_closed_request")]


async def test_an_unknown_model_is_no_attempt() -> None:
    def resolve(model: str) -> tuple[Named, ...]:
        raise ModelNotFound(f"no {model}")

    call, inner = asked(), Inner([])
    with pytest.raises(ModelNotFound, match="no smart"):
        await routed(resolve)(call, inner)
    assert call.attempts == []


# ── What targets lack ──────────────────────────────────────────────────────────────────────────────────────────────

BLIND = Named("blind/a", ability=Ability(frozenset({"image"})))
SEES = (
    b'{"model":"smart","messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"https://x/y"}}]}]}'
)
READS = b'{"model":"smart","messages":[{"role":"user","content":"hello"}]}'


class Watched(openai_chat.OpenAIChat):
    """Chat that counts how often a request is read."""

    def __init__(self) -> None:
        self.read = 0

    def read_request(self, body: bytes, peek: Peek | None = None) -> Request:
        self.read += 1
        return super().read_request(body, peek)


def sent(body: bytes, operation: str = "generate") -> tuple[Call, Watched]:
    call, dialect = asked(), Watched()
    call.body = body
    call.surface = Place(operation=operation, dialect=dialect)
    return call, dialect


@pytest.mark.parametrize(
    ("body", "operation", "tried", "read"),
    [
        (SEES, "generate", A, 1),
        (READS, "generate", BLIND, 0),
        (SEES, "count_tokens", BLIND, 0),
        (SEES.replace(b'"user"', b"5"), "generate", BLIND, 1),
    ],
    ids=["needs it", "does not", "another operation", "cannot be read"],
)
async def test_a_target_that_lacks_a_need_is_passed_over(body: bytes, operation: str, tried: Named, read: int) -> None:
    (call, dialect), inner = sent(body, operation), Inner([reply()])
    await routed(lambda model: (BLIND, A))(call, inner)
    assert inner.targets == [tried]
    assert dialect.read == read


async def test_nothing_is_read_where_every_target_is_able() -> None:
    (call, dialect), inner = sent(SEES), Inner([reply()])
    await routed(lambda model: (A, B))(call, inner)
    assert dialect.read == 0


async def test_where_all_lack_a_need_nobody_is_asked_and_the_nearest_model_is_named() -> None:
    (call, _), inner = sent(SEES), Inner([])

    def offer(needs: Needs, call: Call) -> str | None:
        assert "image" in needs.asked
        return "sighted"

    with pytest.raises(UnsupportedCapability, match=r"images .*'sighted' can") as caught:
        await routed(lambda model: (BLIND,), offer)(call, inner)
    assert caught.value.param == "messages[0].content[0]"
    assert call.attempts == []
