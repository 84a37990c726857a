"""Which class each family's SDK raises for each failure of a provider: told for each cell, as `families_expected`."""

from __future__ import annotations

ErrorRow = tuple[str, str, str, str]
"""The class as OpenAI's SDK names it, Anthropic's, Google's and AWS's (`Speaker.failure`)."""

_FAMILIES = ("openai", "anthropic", "gemini", "bedrock")
_BROKEN: ErrorRow = ("InternalServerError", "InternalServerError", "ServerError/INTERNAL", "InternalServerException")

WHOLE: dict[str, ErrorRow] = {
    "400": ("BadRequestError", "BadRequestError", "ClientError/INVALID_ARGUMENT", "ValidationException"),
    "401": (
        "AuthenticationError", "AuthenticationError", "ClientError/UNAUTHENTICATED",
        "ClientError/UnrecognizedClientException",
    ),
    "403": (
        "PermissionDeniedError", "PermissionDeniedError", "ClientError/PERMISSION_DENIED", "AccessDeniedException",
    ),
    "404": ("NotFoundError", "NotFoundError", "ClientError/NOT_FOUND", "ResourceNotFoundException"),
    "408": ("APIStatusError", "RequestTimeoutError", "ClientError/DEADLINE_EXCEEDED", "ModelTimeoutException"),
    "409": ("ConflictError", "ConflictError", "ClientError/ABORTED", "ValidationException"),
    "413": ("APIStatusError", "ContentTooLargeError", "ClientError/INVALID_ARGUMENT", "ValidationException"),
    "429": ("RateLimitError", "RateLimitError", "ClientError/RESOURCE_EXHAUSTED", "ThrottlingException"),
    "500": _BROKEN,
    "502": _BROKEN,
    "503": ("InternalServerError", "OverloadedError", "ServerError/UNAVAILABLE", "ServiceUnavailableException"),
    "504": ("InternalServerError", "GatewayTimeoutError", "ServerError/DEADLINE_EXCEEDED", "ModelTimeoutException"),
    "529": ("InternalServerError", "OverloadedError", "ServerError/UNAVAILABLE", "ServiceUnavailableException"),
    "quota": ("RateLimitError", "RateLimitError", "ClientError/RESOURCE_EXHAUSTED", "ServiceQuotaExceededException"),
    "too-large": ("RateLimitError", "RateLimitError", "ClientError/RESOURCE_EXHAUSTED", "ThrottlingException"),
    "billing": (
        "RateLimitError", "PaymentRequiredError", "ClientError/PERMISSION_DENIED", "AccessDeniedException",
    ),
    "context": ("BadRequestError", "BadRequestError", "ClientError/INVALID_ARGUMENT", "ValidationException"),
    "filter": ("BadRequestError", "BadRequestError", "ClientError/INVALID_ARGUMENT", "ValidationException"),
    "reset": _BROKEN,
    "close": _BROKEN,
    "cut": _BROKEN,
    "empty": _BROKEN,
    "bad-json": _BROKEN,
}  # fmt: skip
"""The simulator's cue → what whole answers raise.

A connection that breaks before or inside a whole answer is no connection error here: the caller's connection holds, and
the gateway says over it what happened to the other one."""

DEADLINE: ErrorRow = (
    "InternalServerError", "GatewayTimeoutError", "ServerError/DEADLINE_EXCEEDED", "ModelTimeoutException",
)  # fmt: skip

INSTEAD: dict[str, ErrorRow] = {"429": WHOLE["429"], "529": WHOLE["529"], "error-first": _BROKEN}
"""What a stream raises that has not begun."""

_INSIDE: ErrorRow = (
    "APIError", "APIStatusError", "ServerError/INTERNAL", "EventStreamError/modelStreamErrorException",
)  # fmt: skip
INSIDE: dict[str, ErrorRow] = dict.fromkeys(("error-mid", "cut", "short", "end"), _INSIDE)
"""What a stream raises that has. Anthropic's SDK raises by the status, which was 200."""

OTHERWISE: dict[tuple[str, str], dict[str, str]] = {
    ("503", "anthropic"): {"anthropic": "ServiceUnavailableError"},  # its own status, passed on
    # One request above the whole limit is a rate limit to those who name it so. OpenAI's says it in its message.
    ("too-large", "anthropic"): dict.fromkeys(("sim", "azure"), "ContentTooLargeError") | {"bedrock": "RateLimitError"},
    ("too-large", "gemini"): dict.fromkeys(("sim", "azure"), "ClientError/INVALID_ARGUMENT"),
    ("too-large", "bedrock"): dict.fromkeys(("sim", "azure"), "ValidationException")
    | {"bedrock": "ServiceQuotaExceededException"},
    # Vertex AI names a used up quota and a limit of the minute alike.
    ("quota", "bedrock"): {"vertex": "ThrottlingException"},
    # AWS has no word for unpaid accounts.
    ("billing", "openai"): {"bedrock": "PermissionDeniedError"},
    ("billing", "anthropic"): {"bedrock": "PermissionDeniedError"},
    ("error-first", "anthropic"): {"anthropic": "OverloadedError"},
    ("error-first", "gemini"): {"anthropic": "ServerError/UNAVAILABLE"},
    ("error-first", "bedrock"): {"anthropic": "ServiceUnavailableException"},
    ("error-mid", "responses"): dict.fromkeys(("sim", "azure"), "ErrorEvent"),
    ("error-mid", "gemini"): {"anthropic": "ServerError/UNAVAILABLE"},
    ("error-mid", "bedrock"): {
        "anthropic": "EventStreamError/serviceUnavailableException",
        "bedrock": "EventStreamError/internalServerException",
    },
}
"""(cue, family of the client, or its name) → provider → what it raises instead."""


def expected_error(rows: dict[str, ErrorRow], cue: str, client: str, family: str, target: str) -> str:
    target = target.removeprefix("sim-")
    otherwise = OTHERWISE.get((cue, family), {}) | OTHERWISE.get((cue, client), {})
    return otherwise.get(target, rows[cue][_FAMILIES.index(family)])
