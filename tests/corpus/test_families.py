"""All recordings of the five families under the same laws, and one table of what came of it.

An answer is read alike however it is cut, says the same when it is written in its own dialect or in another's, whole or
as a stream; a request becomes one that the other family's own validator accepts. The files beside this one look closer
at each family.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from functools import cache
from typing import Any

import pytest
from msgspec import structs

from tests.corpus import described, test_bedrock
from tests.corpus.exchanges import needs_recordings, read
from tests.corpus.families import FAMILIES, TABLE
from tests.corpus.test_requests_validated import NOT_DESCRIBED, Validator, validators
from tests.laws.generators import normalize, spoken
from trunkline.core.errors import BadRequest, UpstreamError
from trunkline.core.events import Event, Failed, PartStarted
from trunkline.core.usage import Usage
from trunkline.dialects.base import Dialect, Envelope
from trunkline.providers.kinds import KINDS
from trunkline.providers.models import quirks_of

__all__ = ["validators"]

pytestmark = needs_recordings

MODELS: dict[str, tuple[str, str]] = {
    "openai_chat": ("openai", "gpt-5"),
    "openai_responses": ("openai", "gpt-6-astra"),
    "anthropic": ("anthropic", "claude-opus-4-5"),
    "gemini": ("gemini", "gemini-3.1-pro-preview"),
    "bedrock": ("bedrock", "us.anthropic.claude-sonnet-4-5-v1:0"),
}
"""Who is asked, of each family: the kind of provider and a model there."""
UNCOUNTED = {"bedrock": ("reasoning",), "gemini": ("cache_write",)}
"""Shares of a total that a family has no word for."""

ROUGHLY = {
    "stop_sequence": "stop", "pause": "stop", "context_window": "length", "content_filter": "refused",
    "refusal": "refused", "error": "refused",
}  # fmt: skip
"""Why an answer ended, in the words that every family has: the end, the limit, calls, or no answer."""
EXCUSED: dict[tuple[str, str], dict[str, str]] = {
    ("requests to openai_chat", "openai_chat"): {"pydantic-ai__c7afdfa41bc8": "service_tier `on_demand` is Groq's"},
    ("requests to anthropic", "anthropic"): NOT_DESCRIBED["messages as they came"],
    ("requests to gemini", "openai_responses"): {
        "openllmetry__d20b5cca1886": "serviceTier is AI Studio's; the description is Vertex AI's",
    },
}
"""Failures that stay, each with its reason; one that passes after all fails the test, so that the list stays true."""


# ── Answers ────────────────────────────────────────────────────────────────────────────────────────────────────────


@cache
def answers(family: str) -> list[tuple[Any, Dialect, str, list[Event]]]:
    """(recording, its dialect, whose body it is, its events) of all whole answers."""
    return [
        (found, dialect, peek.framing, normalize(read(dialect, found.response, found.meta["stream"])))
        for found, dialect, peek in FAMILIES[family].exchanges()
        if found.meta["status"] == 200
    ]


def plain(events: list[Event]) -> list[Any]:
    """Errors compare by what they say."""
    return [str(e.error) if isinstance(e, Failed) and isinstance(e.error, UpstreamError) else e for e in events]


@pytest.mark.parametrize("family", FAMILIES)
def test_an_answer_is_read_alike_however_it_is_cut(family: str) -> None:
    for found, dialect, _, events in answers(family):
        alike = plain(normalize(read(dialect, found.response, found.meta["stream"], 7))) == plain(events)
        TABLE.check("read in pieces", family, found, "" if alike else "other events")
    _assert("read in pieces", family)


def first(events: list[Event]) -> list[Event]:
    """Families besides chat have one answer: of several it is the first."""
    others = {e.index for e in events if isinstance(e, PartStarted) and e.choice}
    return [e for e in events if getattr(e, "index", -1) not in others and not getattr(e, "choice", 0)]


def meant(events: list[Event], client: str) -> dict[str, Any]:
    """Text, calls, reasoning, why it ended, usage: what each family has words for. Calls whose arguments
    are no object become one where it must be one; a refusal is a text for those who do not know refusals."""
    said = spoken([event for event in events if not isinstance(event, Usage)])
    usage = next((each for each in events if isinstance(each, Usage)), Usage())
    unknown = {"cache_write_1h": 0, "input_audio": 0, "output_audio": 0, **dict.fromkeys(UNCOUNTED.get(client, ()), 0)}
    return {
        "text": said["text"] + said["refusal"],
        "reasoning": said["reasoning"],
        "calls": [
            (key, name, value if isinstance(value, dict) else {"arguments": json.dumps(value)})
            for key, name, value in said["calls"]
        ],
        "reason": "refused" if said["refusal"] else ROUGHLY.get(said["reasons"].get(0), said["reasons"].get(0)),
        "usage": structs.replace(usage, **unknown),
    }


@pytest.mark.parametrize("client", FAMILIES)
@pytest.mark.parametrize("family", FAMILIES)
def test_an_answer_says_the_same_to_a_client_of(client: str, family: str) -> None:
    law, home = f"answers to {client}", FAMILIES[client].dialect
    for found, dialect, framing, events in answers(family):
        if isinstance(events[-1], Failed):
            continue
        told, problem = events if family == client == "openai_chat" else first(events), ""
        teller = dialect if family == client else home
        for stream in (True, False):
            writer = teller.writer(
                Envelope(stream, model="m", request_id="r", framing=framing if family == client else "")
            )
            data = b"".join(writer.feed(event) for event in told) + writer.eof()
            heard, wanted = meant(normalize(read(teller, data, stream)), client), meant(told, client)
            differing = [(heard[name], wanted[name]) for name in wanted if heard[name] != wanted[name]]
            problem = problem or (f"{'stream' if stream else 'whole'}: {differing}" if differing else "")
        TABLE.check(law, family, found, problem)
    _assert(law, family)


# ── Requests ───────────────────────────────────────────────────────────────────────────────────────────────────────

Judge = Callable[[bytes], str]


@pytest.fixture(scope="module")
def steady(validators: dict[str, Validator]) -> dict[str, Validator]:
    """OpenAI's description serves both of its APIs."""
    port = validators["openai_chat"].port
    return {**validators, "openai_responses": Validator(port, "/responses")}


def _amazon(body: bytes) -> str:
    return test_bedrock.faults("Converse", json.loads(body))


def _google(body: bytes) -> str:
    from google.genai import types

    wire = json.loads(body)
    for content in wire["contents"]:
        types.Content.model_validate(content)
    types.GenerationConfig.model_validate(wire.get("generationConfig", {}))
    for tool in wire.get("tools", ()):
        types.Tool.model_validate(tool)
    return ""


def _googles_letter(body: bytes) -> str:
    """The SDK's types, and every field and word in the published description."""
    return _google(body) or "; ".join(described.problems(json.loads(body)))


@pytest.mark.parametrize("target", ["gemini", "bedrock"])
@pytest.mark.parametrize("family", FAMILIES)
def test_a_request_is_valid_by_googles_and_amazons_rules(family: str, target: str) -> None:
    google = _google if family == "gemini" else _googles_letter
    _judge(family, target, google if target == "gemini" else _amazon)


@pytest.mark.skipif(shutil.which("npm") is None, reason="npm is not here: @stdy/cli cannot be installed")
@pytest.mark.parametrize("target", ["openai_chat", "openai_responses", "anthropic"])
@pytest.mark.parametrize("family", FAMILIES)
def test_a_request_is_valid_by_openais_and_anthropics_descriptions(
    family: str, target: str, steady: dict[str, Validator]
) -> None:
    """To the letter where the request is of our own wording; a family's own extensions pass through its dialect."""
    strictly = family != target
    _judge(family, target, lambda body: steady[target].refusal(body, strictly) or "")


def _judge(family: str, target: str, judge: Judge) -> None:
    law, (kind, model) = f"requests to {target}", MODELS[target]
    home, quirks, refused = FAMILIES[target].dialect, quirks_of(model, KINDS[kind].quirks), list[str]()
    for found, dialect, peek in FAMILIES[family].exchanges():
        try:
            request = dialect.read_request(found.request, peek)
        except BadRequest:
            assert found.meta["status"] == 400  # the provider refused it too
            continue
        try:
            body = home.write_request(request, model, quirks, [])
        except BadRequest as error:
            refused.append(f"{found.meta['id']}: {error.message}")
            continue
        TABLE.check(law, family, found, judge(body))
    TABLE.notes[law, family] = refused
    assert all("would be empty without it" in line for line in refused)
    assert len(refused) <= 8
    _assert(law, family)


def _assert(law: str, family: str) -> None:
    failures = TABLE.failures(law, family)
    assert failures.keys() == EXCUSED.get((law, family), {}).keys(), failures
    assert TABLE.passed[law, family] > 100
