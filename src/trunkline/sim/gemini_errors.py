"""How Google says that something is wrong: `google.rpc.Status` as JSON, with details that name reason, field or wait.

AI Studio and Vertex share the envelope and differ in words and in a status: a bad key is 400 INVALID_ARGUMENT on the
one and 401 UNAUTHENTICATED on the other. A stream that is a JSON array carries its error as the array's only element.
Claude on Vertex answers as Anthropic does where the model refuses, and as Google does where Google does.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from trunkline.sim.errors import ANTHROPIC, ErrorStyle, Row, anthropic_envelope
from trunkline.sim.rates import none

_TYPE = "type.googleapis.com/google.rpc."
_INVALID = "INVALID_ARGUMENT"
_EXHAUSTED = "RESOURCE_EXHAUSTED"
_OVERLOADED = "This model is currently experiencing high demand. Please try again later."
_QUOTA = "You exceeded your current quota, please check your plan and billing details."

GEMINI: Mapping[str, Row] = {
    "400": Row(400, _INVALID, None, "Request contains an invalid argument."),
    "401": Row(400, _INVALID, "API_KEY_INVALID", "API key not valid. Please pass a valid API key."),
    "403": Row(403, "PERMISSION_DENIED", None, "The caller does not have permission"),
    "404": Row(404, "NOT_FOUND", None, "models/{model} is not found for API version v1beta, or is not supported for "
               "generateContent. Call ListModels to see the list of available models and their supported methods."),
    "408": Row(408, "DEADLINE_EXCEEDED", None, "Request timed out."),
    "409": Row(409, "ABORTED", None, "The operation was aborted."),
    "413": Row(413, _INVALID, None, "Request payload size exceeds the limit."),
    "429": Row(429, _EXHAUSTED, "GenerateRequestsPerMinutePerProjectPerModel",
               f"{_QUOTA}\nPlease retry in {{after}}s."),
    "500": Row(500, "INTERNAL", None, "An internal error has occurred. Please retry."),
    "503": Row(503, "UNAVAILABLE", None, _OVERLOADED),
    "504": Row(504, "DEADLINE_EXCEEDED", None, "Deadline expired before operation could complete."),
    "529": Row(503, "UNAVAILABLE", None, _OVERLOADED),
    "quota": Row(429, _EXHAUSTED, "GenerateRequestsPerDayPerProjectPerModel", _QUOTA),
    "too-large": Row(429, _EXHAUSTED, "GenerateContentInputTokensPerModelPerMinute", _QUOTA),
    "billing": Row(403, "PERMISSION_DENIED", "BILLING_DISABLED",
                   "This API method requires billing to be enabled. Please enable billing on the project."),
    "context": Row(400, _INVALID, None,
                   "The input token count (1048577) exceeds the maximum number of tokens allowed (1048576)."),
    "filter": Row(400, _INVALID, None, "The prompt could not be submitted: it was blocked by the safety filters."),
    "unregistered": Row(403, "PERMISSION_DENIED", None,
                        "Method doesn't allow unregistered callers (callers without established identity). Please use "
                        "API Key or other form of API consumer identity to call this API."),
}  # fmt: skip

VERTEX: Mapping[str, Row] = {
    **GEMINI,
    "401": Row(401, "UNAUTHENTICATED", "ACCESS_TOKEN_TYPE_UNSUPPORTED",
               "Request had invalid authentication credentials. Expected OAuth 2 access token, login cookie or other "
               "valid authentication credential."),
    "404": Row(404, "NOT_FOUND", None, "Publisher Model `publishers/google/models/{model}` not found."),
    "429": Row(429, _EXHAUSTED, None, "Resource exhausted. Please try again later."),
    "quota": Row(429, _EXHAUSTED, None, "Quota exceeded for aiplatform.googleapis.com/generate_content_requests."),
    "no-keys": Row(401, "UNAUTHENTICATED", "CREDENTIALS_MISSING",
                   "API keys are not supported by this API. Expected OAuth2 access token or other authentication "
                   "credentials that assert a principal. See https://cloud.google.com/docs/authentication"),
}  # fmt: skip

CLAUDE: Mapping[str, Row] = {
    **ANTHROPIC,
    **{name: VERTEX[name] for name in ("401", "403", "404", "429", "quota", "too-large", "no-keys")},
}

REASONS = frozenset({"API_KEY_INVALID", "BILLING_DISABLED", "ACCESS_TOKEN_TYPE_UNSUPPORTED", "CREDENTIALS_MISSING"})
"""Codes that are the reason of an ErrorInfo; those of a 429 name the quota."""


def google_envelope(row: Row, param: str | None, request_id: str) -> dict[str, Any]:
    """`param`: the field that is wrong."""
    error: dict[str, Any] = {"code": row.status, "message": row.message, "status": row.type}
    details = list(_details(row, param))
    return {"error": {**error, "details": details} if details else error}


def _details(row: Row, param: str | None) -> list[dict[str, Any]]:
    details: list[dict[str, Any]] = []
    if row.code in REASONS:
        details.append({"@type": f"{_TYPE}ErrorInfo", "reason": row.code, "domain": "googleapis.com"})
    if param:
        violation = {"field": param, "description": row.message}
        details.append({"@type": f"{_TYPE}BadRequest", "fieldViolations": [violation]})
    if row.status == 429 and row.code:
        violations = [{"quotaId": row.code, "quotaMetric": "generativelanguage.googleapis.com/generate_content"}]
        details.append({"@type": f"{_TYPE}QuotaFailure", "violations": violations})
        if row.after is not None:
            details.append({"@type": f"{_TYPE}RetryInfo", "retryDelay": f"{row.after:g}s"})
    return details


def array_envelope(row: Row, param: str | None, request_id: str) -> Any:
    return [google_envelope(row, param, request_id)]


def claude_envelope(row: Row, param: str | None, request_id: str) -> dict[str, Any]:
    google = bool(row.type) and str(row.type).isupper()
    return (google_envelope if google else anthropic_envelope)(row, param, request_id)


GEMINI_ERRORS = ErrorStyle(GEMINI, google_envelope, lambda after: none(False, after))
VERTEX_ERRORS = ErrorStyle(VERTEX, google_envelope, lambda after: none(False, after))
GEMINI_ARRAY_ERRORS = ErrorStyle(GEMINI, array_envelope, lambda after: none(False, after))
VERTEX_ARRAY_ERRORS = ErrorStyle(VERTEX, array_envelope, lambda after: none(False, after))
CLAUDE_ERRORS = ErrorStyle(CLAUDE, claude_envelope, lambda after: none(False, after))
