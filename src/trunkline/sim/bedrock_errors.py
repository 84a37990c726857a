"""How Bedrock says that something is wrong: a message in the body, the kind in the header `x-amzn-ErrorType`.

On its own OpenAI and Anthropic surfaces the envelope is theirs.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from trunkline.sim.errors import ErrorStyle, Row
from trunkline.sim.exchange import Headers
from trunkline.sim.rates import none

_CORAL = "http://internal.amazon.com/coral/com.amazon.bedrock/"
_VALIDATION = "ValidationException"
_DENIED = "AccessDeniedException"
_BUSY = "Bedrock is unable to process your request."

BEDROCK: Mapping[str, Row] = {
    "400": Row(400, _VALIDATION, None, "The request is not valid."),
    "401": Row(403, "UnrecognizedClientException", None, "The security token included in the request is invalid."),
    "403": Row(403, _DENIED, None, "You don't have access to the model with the specified model ID."),
    "404": Row(404, "ResourceNotFoundException", None, "Could not resolve the foundation model from {model}."),
    "408": Row(408, "ModelTimeoutException", None, "The model took too long to respond."),
    "409": Row(409, "ConflictException", None, "The resource was changed by another request."),
    "413": Row(413, "RequestEntityTooLargeException", None, "The request is too large."),
    "429": Row(429, "ThrottlingException", None, "Too many requests, please wait before trying again."),
    "500": Row(500, "InternalServerException", None, "The system encountered an unexpected error during processing."),
    "503": Row(503, "ServiceUnavailableException", None, _BUSY),
    "504": Row(504, "ModelTimeoutException", None, "The model took too long to respond."),
    "529": Row(503, "ServiceUnavailableException", None, _BUSY),
    "quota": Row(429, "ThrottlingException", None, "Too many tokens per day, please wait before trying again."),
    "too-large": Row(400, "ServiceQuotaExceededException", None, "Your request exceeds the service quota."),
    "billing": Row(403, _DENIED, None, "Model access is denied: INVALID_PAYMENT_INSTRUMENT: a valid payment "
                   "instrument must be provided."),
    "context": Row(400, _VALIDATION, None, "The model returned the following errors: Input Tokens Exceeded: Number of "
                   "input tokens exceeds maximum length. Please update the input to try again."),
    "filter": Row(400, _VALIDATION, None, "The model returned the following errors: Output blocked by content "
                  "filtering policy"),
    "model": Row(400, _VALIDATION, None, "The provided model identifier is invalid."),
    "no-credentials": Row(403, "MissingAuthenticationTokenException", None, "Missing Authentication Token"),
    "incomplete": Row(403, "IncompleteSignatureException", None, "The request signature is incomplete."),
    "signature": Row(403, "InvalidSignatureException", None, "The request signature we calculated does not match the "
                     "signature you provided. Check your AWS Secret Access Key and signing method."),
}  # fmt: skip


def bedrock_envelope(row: Row, param: str | None, request_id: str) -> dict[str, Any]:
    return {"message": row.message}


def _kind(row: Row) -> Headers:
    return [(b"x-amzn-errortype", f"{row.type}:{_CORAL}".encode())]


BEDROCK_ERRORS = ErrorStyle(
    BEDROCK, bedrock_envelope, lambda after: none(False, after), unknown_model="model", named=_kind
)  # fmt: skip
