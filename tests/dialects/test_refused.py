"""What providers' 400s say, in the words that were seen, and bodies without what they name."""

from __future__ import annotations

import json

import pytest

from trunkline.core.errors import UpstreamError
from trunkline.dialects.refused import Refused, read_refusal, without

SAID: list[tuple[str, str | None, str | None, str | None]] = [
    ("Unsupported parameter: 'stop' is not supported with this model.", "stop", "unsupported_parameter", "stop"),
    ("Unsupported parameter: 'temperature' is not supported with this model.", "temperature", None, "temperature"),
    ("Web search options not supported with this model.", "web_search_options", None, "web_search_options"),
    ("Unknown parameter: 'quality'.", "quality", "unknown_parameter", "quality"),
    ("Unrecognized request argument supplied: seed", None, None, "seed"),
    ("foo: Extra inputs are not permitted", None, None, "foo"),
    ("`top_k` is not supported on API version 2026-10-21.", None, None, "top_k"),
    ("`temperature` and `top_p` cannot both be specified for this model.", None, None, "top_p"),
    ("This model doesn't support the stopSequences field. Remove stopSequences and try again.", None, None,
     "stopSequences"),
    ("Malformed input request: extraneous key [topK] is not permitted, please reformat", None, None, "topK"),
    ("Invalid JSON payload received. Unknown name \"seed\" at 'generation_config': Cannot find field.", None, None,
     "seed"),
    ("Logprobs is not supported for the current model.", None, None, "Logprobs"),
    ("property 'logit_bias' is unsupported", None, None, "logit_bias"),
    # Not parameters, or not to be left out.
    ("Function tools with reasoning_effort are not supported for m in /v1/chat/completions. Please use /v1/responses "
     "instead.", "reasoning_effort", None, None),
    ("Invalid 'max_tokens': integer below minimum value.", "max_tokens", "integer_below_min_value", None),
    ("Unsupported value: 'messages[0].role' does not support 'developer'.", "messages[0].role", "unsupported_value",
     None),
    ("tools: Extra inputs are not permitted", None, None, None),
    ("prompt is too long: 3333404 tokens > 200000 maximum", None, None, None),
    ("`temperature` may only be set to 1 when thinking is enabled.", None, None, None),
    ("The provided model identifier is invalid.", None, None, None),
]  # fmt: skip


@pytest.mark.parametrize(("message", "param", "code", "name"), SAID)
def test_the_parameter_is_read_out_of_the_providers_words(
    message: str, param: str | None, code: str | None, name: str | None
) -> None:
    refused = read_refusal(UpstreamError(message, status=400, param=param, upstream_code=code))
    assert (refused.name if refused is not None else None) == name


def test_only_a_refusal_of_the_request_is_one() -> None:
    assert read_refusal(UpstreamError("seed: Extra inputs are not permitted", status=503)) is None


def test_a_new_name_is_used() -> None:
    message = "Unsupported parameter: 'max_tokens' is not supported. Use 'max_completion_tokens' instead."
    refused = read_refusal(
        UpstreamError(message, status=400, param="max_tokens", upstream_code="unsupported_parameter")
    )
    assert refused == Refused("max_tokens", "max_completion_tokens")
    edit = without(b'{"a": 1.50, "max_tokens" : 5,"b":[1, 2]}', refused)
    assert edit is not None
    assert edit.lost is None
    assert edit.body == b'{"a":1.50,"max_completion_tokens":5,"b":[1, 2]}'
    assert without(b'{"max_tokens":1,"max_completion_tokens":2}', refused) is None


def test_a_level_that_a_model_has_not_becomes_the_nearest() -> None:
    message = "This model does not support effort level 'xhigh'. Supported levels: high, low, max, medium."
    refused = read_refusal(UpstreamError(message, status=400))
    assert refused is not None
    edit = without(b'{"model":"m","output_config":{"effort":"xhigh"}}', refused)
    assert edit is not None
    assert json.loads(edit.body)["output_config"] == {"effort": "max"}
    assert edit.lost == "output_config.effort"
    assert without(b'{"output_config":{"effort":"high"}}', refused) is None


def test_a_value_of_several_becomes_the_nearest_and_no_other_is_touched() -> None:
    message = (
        "Unsupported value: 'reasoning_effort' does not support 'xhigh' with this model. Supported values are: "
        "'low', 'medium', and 'high'."
    )
    refused = read_refusal(
        UpstreamError(message, status=400, param="reasoning_effort", upstream_code="unsupported_value")
    )
    assert refused == Refused("reasoning_effort", None, "xhigh", ("low", "medium", "high"))
    edit = without(b'{"reasoning_effort":"xhigh"}', refused)
    assert edit is not None
    assert json.loads(edit.body) == {"reasoning_effort": "high"}
    assert without(b'{"reasoning_effort":"low"}', refused) is None


def test_a_value_that_is_near_to_none_is_left_out() -> None:
    edit = without(b'{"service_tier":"flex"}', Refused("service_tier", None, "flex", ("priority",)))
    assert edit is not None
    assert (edit.body, edit.lost) == (b"{}", "service_tier")


@pytest.mark.parametrize(
    ("message", "code", "once"),
    [
        ("Unsupported value: 'verbosity' does not support this.", "unsupported_value", True),
        ("Unsupported value: 'temperature' does not support 0.2 with this model. Only the default (1) value is "
         "supported.", "unsupported_value", False),
        ("Unsupported parameter: 'stop' is not supported with this model.", "unsupported_parameter", False),
        ("Unsupported parameter: 'top_p' is not supported with reasoning.", "unsupported_parameter", True),
        ("top_k is not supported when thinking is enabled.", None, True),
        ("`temperature` and `top_p` cannot both be specified for this model.", None, True),
        ("Logprobs is not supported for the current model.", None, False),
    ],
)  # fmt: skip
def test_what_one_request_brought_upon_itself_is_not_remembered(message: str, code: str | None, once: bool) -> None:
    refused = read_refusal(UpstreamError(message, status=400, param="p" if code else None, upstream_code=code))
    assert refused is not None
    assert refused.once is once


@pytest.mark.parametrize(
    ("body", "name", "left", "lost"),
    [
        ('{"seed":1,"a":2}', "seed", {"a": 2}, "seed"),
        (
            '{"generationConfig":{"topK":5,"seed":1}}',
            "top_k",
            {"generationConfig": {"seed": 1}},
            "generationConfig.topK",
        ),
        ('{"temperature":1.0}', "temperature", {}, None),
        ('{"temperature":0.5}', "temperature", {}, "temperature"),
    ],
)
def test_it_is_left_out_where_it_stands(body: str, name: str, left: object, lost: str | None) -> None:
    edit = without(body.encode(), Refused(name))
    assert edit is not None
    assert (json.loads(edit.body), edit.lost) == (left, lost)


@pytest.mark.parametrize("body", ["{}", "[]", "no JSON", '{"messages":{"seed":1}}', '{"a":{"b":{"seed":1}}}'])
def test_what_is_not_there_is_not_left_out(body: str) -> None:
    assert without(body.encode(), Refused("seed")) is None
