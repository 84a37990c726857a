"""Every upstream request that the gateway would send for the recordings, judged by a validator that others wrote.

Each recorded request goes out as the identity path sends it, and translated to models that differ in what they take.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.corpus.exchanges import DIALECTS, Tally, chats, messages
from tests.corpus.steady import NEEDED, Validator, serving
from trunkline.core.errors import BadRequest
from trunkline.dialects.base import Dialect, Quirks
from trunkline.providers.models import quirks_of

CHAT, MESSAGES = DIALECTS["openai_chat"], DIALECTS["anthropic"]

pytestmark = NEEDED

SYSTEM_TURN = "the description is of August 2026; role `system` among the messages came with 2026-10-21"
MISTRAL = "Mistral's own: an empty content array, a tool without type, tool_choice `any`, document_url"
NOT_DESCRIBED = {
    "chat as it came": {
        "pydantic-ai__c7afdfa41bc8": "service_tier `on_demand` is Groq's",
        "pydantic-ai__428238656e56": MISTRAL,
        "pydantic-ai__db211c3ae042": MISTRAL,
        "pydantic-ai__1eaaf179b895": MISTRAL,
        "pydantic-ai__5dc155f790d9": MISTRAL,
        "pydantic-ai__a09507deab12": MISTRAL,
    },
    "chat to gpt-5": {"pydantic-ai__c7afdfa41bc8": "service_tier `on_demand` is Groq's"},
    "chat to claude-opus-4-5": {},
    "chat to claude-opus-5": dict.fromkeys(
        ("crewAI__a4700f8aa4ff", "crewAI__754878bc611a", "crewAI__7dc735c5d4d6", "crewAI__fe7335836764"), SYSTEM_TURN
    ),
    "messages to gpt-5": {},
    "messages as they came": {
        "pydantic-ai__e9a1ec7ae47c": "context_management is a beta's, not in the description",
        "pydantic-ai__636fd319fbcd": "output_config.task_budget is a beta's, not in the description",
        **dict.fromkeys(
            (
                "pydantic-ai__7d01bafcf146", "pydantic-ai__7e8301c1010e", "pydantic-ai__1cb1af80286f",
                "pydantic-ai__cce57e4eeaf4", "pydantic-ai__c9361efb6b19",
            ),
            SYSTEM_TURN,
        ),
    },
}  # fmt: skip
"""Valid all the same (the upstream took them), each with why the description refuses it."""


@pytest.fixture(scope="module")
def validators() -> Iterator[dict[str, Validator]]:
    """Both descriptions, served for as long as this module runs."""
    described = {
        CHAT.name: ("openai/openapi.transformed.yml", "/chat/completions"),
        MESSAGES.name: ("anthropic/openapi.yaml", "/v1/messages"),
    }
    with serving(described) as found:
        yield found


def exchanges(source: Dialect) -> tuple[Any, ...]:
    return chats() if source is CHAT else messages()


def readable(source: Dialect) -> Iterator[tuple[Any, Any]]:
    for found in exchanges(source):
        try:
            yield found, source.read_request(found.request)
        except BadRequest:
            assert found.meta["status"] == 400  # the upstream refused it too


def test_the_validator_refuses_what_is_wrong(validators: dict[str, Validator]) -> None:
    right = b'{"model": "m", "max_tokens": 5, "messages": [{"role": "user", "content": "hi"}]}'
    for validator in validators.values():
        assert validator.refusal(right, strictly=True) is None
        assert validator.refusal(right.replace(b'"user"', b'"nobody"'), strictly=True)
        assert validator.refusal(right.replace(b'[{"role": "user", "content": "hi"}]', b'"hi"'))


@pytest.mark.parametrize(("what", "source"), [("chat as it came", CHAT), ("messages as they came", MESSAGES)])
def test_the_identity_paths_requests_are_valid(validators: dict[str, Validator], what: str, source: Dialect) -> None:
    tally = Tally(what, NOT_DESCRIBED[what])
    for found, _ in readable(source):
        peek = source.peek(found.request)
        reason = validators[source.name].refusal(source.patch(found.request, "upstream-model", peek, Quirks()))
        tally.check(found, reason is None, reason or "")
    tally.assert_all(240)


@pytest.mark.parametrize(
    ("what", "source", "target"),
    [
        ("chat to gpt-5", CHAT, CHAT),
        ("chat to claude-opus-4-5", CHAT, MESSAGES),
        ("chat to claude-opus-5", CHAT, MESSAGES),
        ("messages to gpt-5", MESSAGES, CHAT),
    ],
)
def test_the_translated_requests_are_valid(
    validators: dict[str, Validator], what: str, source: Dialect, target: Dialect
) -> None:
    tally, model = Tally(what, NOT_DESCRIBED[what]), what.rpartition(" ")[2]
    quirks, refused, emptied = quirks_of(model, Quirks()), 0, 0
    for found, request in readable(source):
        try:
            body = target.write_request(request, model, quirks, [])
        except BadRequest as error:
            refused += "does not continue an assistant message" in error.message
            emptied += "cannot be translated" in error.message
            continue
        reason = validators[target.name].refusal(body, strictly=source is not target)
        tally.check(found, reason is None, reason or "")
    assert refused == (0 if quirks.prefill or source is MESSAGES else 2)
    assert emptied == (target is MESSAGES)  # Mistral's `document_url`, alone in its message
    tally.assert_all(240)
