"""Every Responses request that the gateway would send for the recordings, judged by the validator of
`test_requests_validated`: as the identity path sends it, and translated from chat and Messages."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from typing import Any

import pytest

from tests.corpus.exchanges import TOOLS, Tally
from tests.corpus.test_requests_validated import CHAT, MESSAGES, Validator, readable, validators
from tests.corpus.test_responses import NOT_A_REQUEST, exchanges
from trunkline.core.errors import BadRequest
from trunkline.dialects.base import Dialect, Quirks
from trunkline.dialects.openai_responses import DIALECT
from trunkline.providers.models import quirks_of

__all__ = ["validators"]

pytestmark = [
    pytest.mark.skipif(shutil.which("npm") is None, reason="npm is not here: @stdy/cli cannot be installed"),
    pytest.mark.skipif(not (TOOLS / "corpus.py").exists(), reason="the recorded exchanges (../shared) are not here"),
]

NOT_DESCRIBED: dict[str, str] = {}


@pytest.fixture(scope="module")
def validator(validators: dict[str, Validator]) -> Validator:
    """OpenAI's description serves both of its APIs."""
    return Validator(validators[CHAT.name].port, "/responses")


def test_the_validator_refuses_what_is_wrong(validator: Validator) -> None:
    right = b'{"model": "m", "input": [{"role": "user", "content": "hi"}]}'
    assert validator.refusal(right, strictly=True) is None
    assert validator.refusal(right.replace(b'"hi"', b"3"), strictly=True)
    assert validator.refusal(right.replace(b'"model": "m"', b'"model": "m", "max_output_tokens": "a"'))


def test_the_identity_paths_requests_are_valid(validator: Validator) -> None:
    tally = Tally("responses as they came", NOT_DESCRIBED)
    for found in exchanges():
        if found.meta["id"] not in NOT_A_REQUEST:
            peek = DIALECT.peek(found.request)
            reason = validator.refusal(DIALECT.patch(found.request, "upstream-model", peek, Quirks()))
            tally.check(found, reason is None, reason or "")
    tally.assert_all(300)


@pytest.mark.parametrize("source", [CHAT, MESSAGES, DIALECT], ids=lambda source: source.name)
@pytest.mark.parametrize("model", ["gpt-6-astra", "gpt-4o"])
def test_the_translated_requests_are_valid(validator: Validator, source: Dialect, model: str) -> None:
    tally, emptied = Tally(f"{source.name} to {model} on responses"), 0
    for found, request in _readable(source):
        try:
            body = DIALECT.write_request(request, model, quirks_of(model, Quirks()), [])
        except BadRequest as error:
            emptied += "cannot be translated" in error.message
            continue
        reason = validator.refusal(body, strictly=source is not DIALECT)
        tally.check(found, reason is None, reason or "")
    assert emptied <= 5  # audio, which Responses does not take, or Mistral's `document_url`, alone in a message
    tally.assert_all(240)


def _readable(source: Dialect) -> Iterator[tuple[Any, Any]]:
    if source is not DIALECT:
        yield from readable(source)
        return
    for found in exchanges():
        if found.meta["id"] not in NOT_A_REQUEST:
            yield found, source.read_request(found.request)
