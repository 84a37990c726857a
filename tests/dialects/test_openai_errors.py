"""The codes that OpenAI's clients see: ours, but for the few of a provider's errors that programs branch on."""

from __future__ import annotations

import json

import pytest

from trunkline.core.errors import (
    BadRequest,
    GatewayError,
    ModelNotFound,
    Overloaded,
    Unauthenticated,
    UpstreamBroken,
    UpstreamError,
)
from trunkline.dialects import anthropic
from trunkline.dialects.base import Dialect
from trunkline.dialects.openai_chat import DIALECT


def code_of(error: GatewayError) -> str:
    code: str = json.loads(DIALECT.write_error(error, "r"))["error"]["code"]
    assert f'"code":"{code}"'.encode() in DIALECT.stream_error(error, "r")
    return code


@pytest.mark.parametrize(
    "error",
    [
        BadRequest("no"),
        BadRequest("no", code="invalid_json"),
        Unauthenticated("no", code="missing_api_key"),
        Unauthenticated("no", code="disabled_api_key"),
        Unauthenticated("no", code="expired_api_key"),
        Unauthenticated("no"),
        ModelNotFound("no"),
        Overloaded("no"),
        UpstreamBroken("no"),
    ],
    ids=lambda error: error.code,
)
def test_an_error_of_the_caller_or_of_ours_keeps_its_documented_code(error: GatewayError) -> None:
    assert code_of(error) == error.code


@pytest.mark.parametrize(
    ("status", "wire", "code"),
    [
        (401, {"code": "invalid_api_key"}, "upstream_authentication"),
        (403, {"code": "unsupported_country"}, "upstream_permission"),
        (429, {"code": "billing_not_active"}, "upstream_billing"),
        (429, {"code": "rate_limit_exceeded"}, "rate_limit_exceeded"),
        (429, {"code": "429"}, "rate_limit_exceeded"),
        (429, {"code": "insufficient_quota"}, "insufficient_quota"),
        (400, {"code": "context_length_exceeded"}, "context_length_exceeded"),
        (400, {"code": "content_filter"}, "content_filter"),
        (400, {"code": "unknown_parameter"}, "upstream_invalid_request"),
        (404, {"code": "model_not_found"}, "model_not_found"),
        (404, {"code": "DeploymentNotFound"}, "model_not_found"),
        (404, {"code": "404"}, "upstream_not_found"),
        (500, {"type": "server_error"}, "upstream_server"),
    ],
)
def test_an_error_of_the_provider_bears_the_word_that_programs_know(
    status: int, wire: dict[str, str], code: str
) -> None:
    error = DIALECT.read_error(status, [], json.dumps({"error": {"message": "no"} | wire}).encode())
    assert code_of(error) == code


def test_the_provider_s_family_makes_no_difference() -> None:
    body = b'{"type":"error","error":{"type":"authentication_error","message":"invalid x-api-key"}}'
    error = anthropic.DIALECT.read_error(401, [], body)
    assert (code_of(error), DIALECT.error_status(error)) == ("upstream_authentication", 401)
    assert code_of(UpstreamError("no", kind="rate_limit", status=429)) == "rate_limit_exceeded"


@pytest.mark.parametrize("dialect", [DIALECT, anthropic.DIALECT], ids=lambda dialect: dialect.name)
@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b'{"error":{"message":"m"}}', "m"),
        (b'{"error":"m"}', "m"),
        (b'{"message":"m"}', "m"),
        (b'{"detail":"m"}', "m"),
        (b'{"detail":[{"loc":["body"]}]}', '[{"loc":["body"]}]'),
        (b'[{"error":{"message":"m"}}]', "m"),
        (b"<html>", "The upstream answered with status 418."),
        (b"\xff", "The upstream answered with status 418."),
        (b"[" * 10_000, "The upstream answered with status 418."),
        (b'{"error":{"message":"' + b"m" * 5000 + b'"}}', "m" * 2000),
    ],
)
def test_an_error_is_found_wherever_a_host_keeps_it(dialect: Dialect, body: bytes, message: str) -> None:
    assert dialect.read_error(418, [], body).message == message
