"""How each family says that something is wrong: one table a family, one row an error cue, and the envelope around it.

Statuses, types, codes and the wording are those of the services, as recorded or published; `{model}` stands for the
model's name and `{after}` for the seconds to wait.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from typing import Any

from msgspec import Struct

from trunkline.sim.exchange import Exchange, Headers
from trunkline.sim.problems import Problem

RETRIED = frozenset({408, 409, 429, 500, 502, 503, 504, 529})
"""Statuses that the official SDKs try again."""


class Row(Struct, frozen=True):
    status: int
    type: str | None
    code: str | None
    message: str
    retry: bool = False
    """Whether the service sends retry-after with it."""
    after: float | None = None
    """Seconds to wait, for envelopes that say it; None: not said."""


_QUOTA = "You exceeded your current quota, please check your plan and billing details."
_OVERLOAD = "The server is currently overloaded with other requests. Sorry about that! You can retry your request."
_CONTEXT = "This model's maximum context length is exceeded. Please reduce the length of the messages."
_RETRY_AFTER = "Please retry after {after} seconds."

OPENAI: Mapping[str, Row] = {
    "400": Row(400, "invalid_request_error", None, "Invalid request."),
    "401": Row(401, "invalid_request_error", "invalid_api_key", "Incorrect API key provided."),
    "403": Row(403, "invalid_request_error", "permission_denied", "You are not allowed to use this model."),
    "404": Row(404, "invalid_request_error", "model_not_found",
               "The model `{model}` does not exist or you do not have access to it."),
    "408": Row(408, "timeout", None, "Request timed out."),
    "409": Row(409, "invalid_request_error", "conflict", "The resource was changed by another request."),
    "413": Row(413, "invalid_request_error", None, "Request body too large."),
    "429": Row(429, "requests", "rate_limit_exceeded",
               "Rate limit reached for {model} on requests per min (RPM): Limit 60, Used 60, Requested 1. "
               "Please try again in {after}s.", retry=True),
    "500": Row(500, "server_error", None, "The server had an error while processing your request. Sorry about that!"),
    "503": Row(503, "server_error", None, _OVERLOAD, retry=True),
    "504": Row(504, "server_error", None, "The request took too long."),
    "529": Row(529, "server_error", None, _OVERLOAD, retry=True),
    "quota": Row(429, "insufficient_quota", "insufficient_quota", _QUOTA),
    "too-large": Row(429, "tokens", "rate_limit_exceeded",
                     "Request too large for {model} on tokens per min (TPM): Limit 30000, Requested 30601. "
                     "The input or output tokens must be reduced in order to run successfully."),
    "billing": Row(429, "billing_not_active", "billing_not_active",
                   "Your account is not active, please check your billing details."),
    "context": Row(400, "invalid_request_error", "context_length_exceeded", _CONTEXT),
    "filter": Row(400, "invalid_request_error", "content_policy_violation",
                  "Your request was rejected as a result of our safety system."),
}  # fmt: skip

AZURE: Mapping[str, Row] = {
    **OPENAI,
    "401": Row(401, None, "401", "Access denied due to invalid subscription key or wrong API endpoint."),
    "404": Row(404, "invalid_request_error", "DeploymentNotFound",
               "The API deployment for this resource does not exist."),
    "429": Row(429, None, "429",
               "Requests to the ChatCompletions_Create Operation have exceeded the token rate limit of your pricing "
               "tier. " + _RETRY_AFTER, retry=True),
    "500": Row(500, None, "InternalServerError", "Backend returned unexpected response."),
    "503": Row(503, None, "ServiceUnavailable", "The service is temporarily unable to process your request.",
               retry=True),
    "504": Row(504, None, "Timeout", "The operation was timeout."),
    "filter": Row(400, None, "content_filter",
                  "The response was filtered due to the prompt triggering Azure OpenAI's content management policy."),
}  # fmt: skip

ANTHROPIC: Mapping[str, Row] = {
    "400": Row(400, "invalid_request_error", None, "Invalid request."),
    "401": Row(401, "authentication_error", None, "invalid x-api-key"),
    "403": Row(403, "permission_error", None, "Your API key may not use this resource."),
    "404": Row(404, "not_found_error", None, "model: {model}"),
    "408": Row(408, "timeout_error", None, "Request timed out."),
    "409": Row(409, "conflict_error", None, "The resource was changed by another request."),
    "413": Row(413, "request_too_large", None, "Request exceeds the maximum size"),
    "429": Row(429, "rate_limit_error", None,
               "This request would exceed your account's rate limit. Please try again later.", retry=True),
    "500": Row(500, "api_error", None, "Internal server error"),
    "503": Row(503, "api_error", None, "Service unavailable", retry=True),
    "504": Row(504, "timeout_error", None, "The request timed out while processing."),
    "529": Row(529, "overloaded_error", None, "Overloaded"),
    "quota": Row(429, "rate_limit_error", None, "You have reached your specified API usage limits."),
    "too-large": Row(429, "rate_limit_error", None, "This request alone exceeds your tokens per minute limit."),
    "billing": Row(402, "billing_error", None, "Your credit balance is too low. Please go to Plans & Billing."),
    "context": Row(400, "invalid_request_error", None, "prompt is too long: 200001 tokens > 200000 maximum"),
    "filter": Row(400, "invalid_request_error", None, "Output blocked by content filtering policy"),
}  # fmt: skip

_FILTER_RESULT = {
    "hate": {"filtered": True, "severity": "high"},
    "jailbreak": {"filtered": False, "detected": False},
    "self_harm": {"filtered": False, "severity": "safe"},
    "sexual": {"filtered": False, "severity": "safe"},
    "violence": {"filtered": False, "severity": "safe"},
}


def openai_envelope(row: Row, param: str | None, request_id: str) -> dict[str, Any]:
    return {"error": {"message": row.message, "type": row.type, "param": param, "code": row.code}}


def azure_envelope(row: Row, param: str | None, request_id: str) -> dict[str, Any]:
    """Azure's front door sends only code and message; what the model's service refuses keeps OpenAI's shape."""
    if row.code == "content_filter":
        inner = {"code": "ResponsibleAIPolicyViolation", "content_filter_result": _FILTER_RESULT}
        shown = {"message": row.message, "type": None, "param": "prompt", "code": row.code, "status": row.status}
        return {"error": {**shown, "innererror": inner}}
    if row.type is None:
        return {"error": {"code": row.code, "message": row.message}}
    return openai_envelope(row, param, request_id)


def anthropic_envelope(row: Row, param: str | None, request_id: str) -> dict[str, Any]:
    return {"type": "error", "error": {"type": row.type, "message": row.message}, "request_id": request_id}


class ErrorStyle(Struct, frozen=True):
    """A family's way of failing."""

    rows: Mapping[str, Row]
    envelope: Callable[[Row, str | None, str], dict[str, Any]]
    spent: Callable[[float], Headers]
    """The rate-limit headers of a 429, for the seconds to wait."""
    milliseconds: bool = False
    """Also sends retry-after-ms."""
    should_retry: bool = False
    """Says on every error whether to try again."""
    unknown_model: str = "404"
    """The row for a model that is not there."""
    named: Callable[[Row], Headers] | None = None
    """Headers that name the kind of error."""

    def row(self, problem: Problem, model: str, after: float | None) -> Row:
        """The error of a problem, its message filled in."""
        row = self.rows[problem.name or "400"]
        shown = f"{after or 0.0:g}"
        message = problem.message or row.message.replace("{model}", model).replace("{after}", shown)
        return Row(row.status, row.type, problem.code or row.code, message, row.retry, after)

    def exchange(self, problem: Problem, model: str, request_id: str, after: float | None = 1.0) -> Exchange:
        """The whole response. `after`: seconds for retry-after, None to leave it out."""
        row = self.row(problem, model, after)
        headers: Headers = [(b"content-type", b"application/json")]
        if row.status == 429:
            headers += self.spent(after or 0.0)
        if row.retry and after is not None:
            headers.append((b"retry-after", b"%d" % math.ceil(after)))
            if self.milliseconds:
                headers.append((b"retry-after-ms", b"%d" % round(after * 1000)))
        if self.named is not None:
            headers += self.named(row)
        if self.should_retry:
            headers.append((b"x-should-retry", b"true" if row.status in RETRIED else b"false"))
        return Exchange(row.status, headers, [_dumped(self.envelope(row, problem.param, request_id))])

    def event(self, problem: Problem, model: str, request_id: str) -> bytes:
        """The error's JSON for inside a stream."""
        return _dumped(self.envelope(self.row(problem, model, 1.0), problem.param, request_id))


def _dumped(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()
