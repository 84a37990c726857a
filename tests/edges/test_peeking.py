"""The first look at a body: the model that it names here is the one that it names to every other parser."""

from __future__ import annotations

import pytest

from trunkline.core.call import Addressed, Call, Peek
from trunkline.core.errors import BadRequest
from trunkline.edge.peeking import peek
from trunkline.edge.surfaces import find, fixed


def look(body: bytes, path: str = "/v1/chat/completions") -> Peek | None:
    surface, addressed = (fixed(path), Addressed()) if fixed(path) else find(path, "POST", b"") or (None, Addressed())
    assert surface is not None
    call = Call("req_1", surface, [], 0.0, 0.0)
    call.addressed, call.body = addressed, body
    return peek(call, 64)


@pytest.mark.parametrize(
    "body",
    [
        b'{"model":"dear","model":"cheap","messages":[]}',
        b'{"model":"cheap","messages":[],"model":"cheap"}',
        b'{"model":"cheap","Model":"dear","messages":[]}',
        b'{"MODEL" : "dear","model":"cheap","messages":[]}',
        b'{"model":"cheap","mod\\u0065l":"dear","messages":[]}',
        b'{"model":"cheap","\\u004Dodel":"dear","messages":[]}',
    ],
)
@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/messages", "/v1/responses", "/v1/embeddings"])
def test_a_body_that_names_two_models_to_two_parsers_is_refused(body: bytes, path: str) -> None:
    with pytest.raises(BadRequest, match="model once"):
        look(body, path)


@pytest.mark.parametrize(
    "body",
    [
        b'{"model":"cheap","messages":[{"role":"user","content":"{\\"model\\": 1}"}]}',
        b'{"model":"cheap","messages":[],"tools":[{"parameters":{"properties":{"model":{"enum":["model"]}}}}]}',
        b'{"model":"model","messages":[],"metadata":{"Model":"x","model":"y"}}',
        b'{"messages":[{"role":"user","content":"M\\u0065\\u006d"}],"model":"cheap"}',
    ],
)
def test_what_stands_inside_of_a_value_names_nothing(body: bytes) -> None:
    seen = look(body)
    assert seen is not None
    assert seen.model in {"cheap", "model"}


def test_turns_of_the_model_are_no_names() -> None:
    turns = b'{"contents":[{"role":"model","parts":[]},{"role":"model","parts":[{"model":1}]},{"model":"x"}]}'
    seen = look(turns, "/v1beta/models/cheap:generateContent")
    assert seen is not None
    assert seen.model == "cheap"


@pytest.mark.parametrize("body", [b'{"model":"m","\xff":1}', b'{"model":"m","messages":[{"content":"\xc3("}]}'])
def test_a_body_that_is_no_text_is_refused_before_anybody_passes_over_it(body: bytes) -> None:
    with pytest.raises(BadRequest, match="utf-8"):
        look(body)
