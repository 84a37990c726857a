"""A call's request in the words of the target: the same bytes where both speak one dialect, else written anew."""

from __future__ import annotations

from collections.abc import Callable

from trunkline.core.call import Call, Headers
from trunkline.core.errors import LossyTranslation, Unsupported
from trunkline.core.request import Request
from trunkline.dialects.base import Quirks
from trunkline.dialects.namespaced import without_namespaces
from trunkline.dialects.openai_responses.vocabulary import NAME as RESPONSES
from trunkline.policy.continuation import Recovery, continued
from trunkline.policy.estimate import BYTES_PER_TOKEN
from trunkline.providers.prefill import told
from trunkline.providers.target import BoundApi, Target

Write = Callable[[Request, str, Quirks, list[str]], bytes]


def is_identity(call: Call) -> bool:
    """Whether the client speaks the dialect of the API that was chosen."""
    name: str = call.api.dialect.name
    spoken: str = call.surface.dialect.name
    return name == spoken


def passed(call: Call) -> tuple[bytes, Headers]:
    """The client's own body and those of its headers that belong to the dialect."""
    assert call.peek is not None
    target: Target = call.target
    bound: BoundApi = call.api
    api = bound.api
    headers: Headers = []
    if api.forward:
        headers = [field for field in call.headers if field[0] in api.forward]
        names = {name for name, _ in headers}
        headers += [field for field in api.defaults if field[0] not in names]
    body = call.follows.body(target.name) if call.follows is not None else call.body
    return api.dialect.patch(body, target.model, call.peek, target.quirks), headers


def translated(call: Call, request: Request, write: Write) -> tuple[bytes, Headers]:
    """The body by `write`, a method of the target's dialect. Raises LossyTranslation in strict mode."""
    target: Target = call.target
    bound: BoundApi = call.api
    lost: list[str] = []
    if bound.api.dialect.name != RESPONSES:
        request = without_namespaces(request)
    body = write(request, target.model, target.quirks, lost)
    said_lost(call, lost)
    more = bound.api.translated
    return body, more(request) if more is not None else []


def going_on(call: Call, request: Request, recovery: Recovery) -> tuple[bytes, Headers]:
    """The request for the rest of an answer that broke off."""
    target: Target = call.target
    produced = -(-len(recovery.words) // BYTES_PER_TOKEN)
    body, headers = translated(call, continued(request, recovery.words, produced), call.api.dialect.write_request)
    prefill = target.prefill(call.surface.dialect, call.peek)
    return told(body, prefill) if prefill is not None else body, headers


def said_lost(call: Call, lost: list[str]) -> None:
    """Note what the target cannot be told. Raises LossyTranslation in strict mode."""
    call.lost = list(dict.fromkeys(lost))
    if call.lost and call.strict:
        raise LossyTranslation(
            f"{call.target.name} cannot be told: {', '.join(call.lost)}. Leave these fields out, choose a model of the "
            "same family, or drop x-trunkline-strict.",
            param=call.lost[0],
        )


def unsupported(call: Call) -> Unsupported:
    target: Target = call.target
    return Unsupported(
        f"{target.name} has nothing like {call.surface.path}: its provider speaks another family's formats. "
        "Choose a model of a provider that has it.",
        param="model",
    )
