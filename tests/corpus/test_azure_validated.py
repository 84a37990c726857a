"""Every request that the gateway would send to Azure for the recordings of all families, held to Azure's own
descriptions: the `/openai/v1` API, the dated one by deployments, and that for models of every maker."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.corpus.exchanges import Tally, library
from tests.corpus.families import FAMILIES
from tests.corpus.steady import NEEDED, Validator, serving
from trunkline.core.errors import BadRequest
from trunkline.providers.kinds import KINDS
from trunkline.providers.models import quirks_of

pytestmark = NEEDED

DESCRIBED = {
    "azure": ("azure/AIFoundryOpenAIV1.json", "/chat/completions"),
    "azure-responses": ("azure/AIFoundryOpenAIV1.json", "/responses"),
    "azure-classic": ("azure/AIFoundryOpenAI.json", "/deployments/d/chat/completions?api-version=2024-10-21"),
    "azure-inference": ("azure/AIFoundryAzureAI.json", "/chat/completions?api-version=2024-05-01-preview"),
}
SPOKEN = {"azure-responses": "openai_responses"}
"""Chat is spoken at the others."""
NOT_DESCRIBED = {
    r"E3016, 1-path body\.reasoning(_effort|\.effort)": "levels that are younger than the description",
    r"E3007, 1-path body\.tools\.0": "a tool that the recording's own host runs, named by its client",
    r"E3016, 1-path body\.include\.1": "what may be included is OpenAI's newest list",
}
"""What the descriptions of Azure do not know yet, and may be sent all the same."""


@pytest.fixture(scope="module")
def validators(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Validator]]:
    directory = tmp_path_factory.mktemp("azure")
    with serving({name: (_alone(file, directory), path) for name, (file, path) in DESCRIBED.items()}) as found:
        yield found


def _alone(file: str, directory: Path) -> str:
    """A description without its examples, which are files beside it that are not here."""
    description = json.loads((library().schemas() / file).read_text())
    out = directory / Path(file).name
    out.write_text(json.dumps(_bare(description)))
    return str(out)


def _bare(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _bare(inner) for name, inner in value.items() if name not in {"examples", "x-ms-examples"}}
    return [_bare(inner) for inner in value] if isinstance(value, list) else value


@pytest.mark.parametrize("where", DESCRIBED)
def test_the_validator_refuses_what_is_wrong(where: str, validators: dict[str, Validator]) -> None:
    right = b'{"model": "m", "messages": [{"role": "user", "content": "hi"}], "input": "hi", "temperature": 1}'
    right = right.replace(
        b'"input": "hi", ' if where not in SPOKEN else b'"messages": [{"role": "user", "content": "hi"}], ', b""
    )
    assert validators[where].refusal(right) is None
    assert validators[where].refusal(right.replace(b'"temperature": 1', b'"temperature": "hot"'))


@pytest.mark.parametrize("where", DESCRIBED)
@pytest.mark.parametrize("family", FAMILIES)
def test_the_requests_are_valid(family: str, where: str, validators: dict[str, Validator]) -> None:
    target = SPOKEN.get(where, "openai_chat")
    tally, dialect = Tally(f"{family} to {where}"), FAMILIES[target].dialect
    known = re.compile("|".join(NOT_DESCRIBED))
    newer, quirks = 0, quirks_of("gpt-5", KINDS[where.removesuffix("-responses")].quirks)
    for found, spoken, peek in FAMILIES[family].exchanges():
        try:
            body = dialect.write_request(spoken.read_request(found.request, peek), "gpt-5", quirks, [])
        except BadRequest:
            continue  # what the provider refused too, or of which nothing would be left: see `test_families`
        reason = validators[where].refusal(body) or ""
        newer += bool(known.search(reason))
        tally.check(found, not reason or known.search(reason), reason)
    print(f"  {newer} hold what the description does not know yet")
    assert newer <= 12
    tally.assert_all(150)
