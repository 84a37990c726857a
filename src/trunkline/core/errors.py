"""Everything that can go wrong, drawn as a tree. An error knows its status, whose fault it is and whether to retry.

    GatewayError
    ├─ ClientError (blame: client)
    │  ├─ BadRequest 400 · LossyTranslation 400 · UnsupportedCapability 400 · Unsupported 400
    │  ├─ Unauthenticated 401 · Forbidden 403 · NotFound 404 · ModelNotFound 404 · MethodNotAllowed 405
    │  ├─ RequestTimeout 408 · Elsewhere 409 · TooLarge 413 · IdempotencyKeyReused 422 · HeadTooLarge 431
    │  └─ ClientGone 499 (never sent; the ledger shows it)
    ├─ InternalError 500 · ShuttingDown 503 · Overloaded 503 · DeadlineExceeded 504 (blame: gateway)
    └─ UpstreamError (blame: upstream; status and code as the upstream said)
       ├─ UpstreamUnreachable 502 · UpstreamProtocol 502 · UpstreamTimeout 504
       ├─ CredentialUnavailable 502 (there is nothing to show to the provider)
       └─ UpstreamBroken 502 (an answer that broke off after it had begun)

`code` is stable and documented in docs/errors.md. `message` is safe to show: no stack, no host, no credential.
Each dialect maps an error onto its own envelope through `kind`, a closed set.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

if TYPE_CHECKING:
    from trunkline.core.limit import Standing

Blame = Literal["client", "gateway", "upstream"]

Kind = Literal[
    "invalid_request", "authentication", "billing", "permission", "not_found", "conflict", "too_large",
    "rate_limit", "quota", "timeout", "overloaded", "content_filter", "context_length", "server",
]  # fmt: skip


class GatewayError(Exception):
    status: int = 500
    code: str = "internal_error"
    kind: Kind = "server"
    blame: ClassVar[Blame] = "gateway"
    retryable: bool = False
    """Whether the same call may succeed elsewhere or later: routing goes on to the next target."""
    retry_after: float | None = None
    param: str | None = None
    """JSON path of the offending request field."""
    detail: str = ""
    """What the operator alone may know, in the log and the ledger: hosts, paths, the transport's own words."""

    def __init__(
        self, message: str, *, param: str | None = None, retry_after: float | None = None, code: str | None = None
    ) -> None:
        super().__init__(message)
        self.message = message
        self.param = param
        self.retry_after = retry_after
        if code is not None:
            self.code = code

    @property
    def full(self) -> str:
        """The message with its detail: for the operator."""
        return f"{self.message} ({self.detail})" if self.detail else self.message


class ClientError(GatewayError):
    blame = "client"
    status, code = 400, "invalid_request"
    kind: Kind = "invalid_request"


class BadRequest(ClientError):
    pass


class LossyTranslation(ClientError):
    code = "lossy_translation"


class UnsupportedCapability(ClientError):
    """No target of the model has what the request needs."""

    code = "unsupported_capability"


class Unsupported(ClientError):
    """This target cannot do what is asked; another target of the model may."""

    code, retryable = "unsupported_operation", True


class Unauthenticated(ClientError):
    status, code, kind = 401, "invalid_api_key", "authentication"


class Forbidden(ClientError):
    status, code, kind = 403, "permission_denied", "permission"


class NotFound(ClientError):
    status, code, kind = 404, "not_found", "not_found"


class ModelNotFound(NotFound):
    code = "model_not_found"


class MethodNotAllowed(ClientError):
    """`allow`: the methods that the path does take, as the header of that name has them."""

    status, code = 405, "method_not_allowed"

    def __init__(self, message: str, allow: str) -> None:
        super().__init__(message)
        self.allow = allow


class Elsewhere(ClientError):
    """Another gateway works on it, and it alone can do what is asked."""

    status, code, kind = 409, "response_elsewhere", "conflict"


class IdempotencyKeyReused(ClientError):
    """The header's value belongs to another request."""

    status, code = 422, "idempotency_key_reused"


class RequestTimeout(ClientError):
    status, code, kind = 408, "request_timeout", "timeout"


class TooLarge(ClientError):
    status, code, kind = 413, "request_too_large", "too_large"


class HeadTooLarge(ClientError):
    status, code = 431, "header_too_large"


class LimitExceeded(ClientError):
    """A limit of the gateway's own. `standing`: which one, and how it stands."""

    status, code = 429, "rate_limit_exceeded"
    kind: Kind = "rate_limit"

    def __init__(self, message: str, standing: Standing, *, code: str | None = None, retry_after: float | None) -> None:
        super().__init__(message, retry_after=retry_after, code=code)
        self.standing = standing


class Throttled(ClientError):
    """Signs of abuse: whoever shows them has to wait."""

    status, code = 429, "throttled"
    kind: Kind = "rate_limit"


class QueueShareFull(ClientError):
    """So many calls of this caller wait already that no further one may."""

    status, code = 429, "queue_share_full"
    kind: Kind = "rate_limit"


class BudgetExceeded(LimitExceeded):
    """The same of money: no waiting for seconds helps."""

    code, kind = "budget_exceeded", "quota"


class CostUnknown(ClientError):
    """A budget applies, and nobody can know beforehand what the call will cost."""

    code = "cost_unknown"


class ClientGone(ClientError):
    status, code, kind = 499, "client_closed_request", "timeout"


class InternalError(GatewayError):
    pass


class ShuttingDown(GatewayError):
    status, code, kind = 503, "shutting_down", "overloaded"


class Overloaded(GatewayError):
    status, code, kind = 503, "overloaded", "overloaded"


class DeadlineExceeded(GatewayError):
    """The call's own time is up: the caller's `x-trunkline-deadline-ms`, or `server.request_timeout`."""

    status, code, kind = 504, "deadline_exceeded", "timeout"


def why_cancelled(cancelled: BaseException) -> GatewayError:
    """The reason of a cancelled call. Whoever cancels gives it as the cancellation's message; without one, the client
    has gone."""
    given = next((each for each in cancelled.args if isinstance(each, GatewayError)), None)
    return given or ClientGone("The client closed the connection before the answer was complete.")


class Outrun(GatewayError):
    """An attempt that was given up because another one answered sooner. Never sent: the ledger shows it."""

    status, code, kind = 499, "outrun", "timeout"


def known(raised: BaseException) -> GatewayError:
    """Whatever was raised, as an error of this tree. What is no Exception came from outside: a cancellation."""
    match raised:
        case GatewayError():
            return raised
        case Exception():
            return InternalError(f"A mistake of the gateway's own: {type(raised).__name__}.")
        case _:
            return why_cancelled(raised)


class UpstreamError(GatewayError):
    """The upstream answered with an error. `status` is the upstream's; `code` and `kind` are ours, `upstream_code` is
    what it said. `body` is its answer, passed on untouched where the client speaks the same dialect."""

    blame = "upstream"
    status, code = 502, "upstream_error"
    kind: Kind = "server"
    of_account: bool = False
    """A quota that is the whole account's rather than one model's."""

    def __init__(
        self,
        message: str,
        *,
        status: int | None = None,
        kind: Kind | None = None,
        code: str | None = None,
        param: str | None = None,
        retryable: bool | None = None,
        retry_after: float | None = None,
        upstream_code: str | None = None,
        headers: list[tuple[bytes, bytes]] | None = None,
        body: bytes | None = None,
    ) -> None:
        super().__init__(message, param=param, retry_after=retry_after, code=code)
        if status is not None:
            self.status = status
        if kind is not None:
            self.kind = kind
        if retryable is not None:
            self.retryable = retryable
        self.upstream_code = upstream_code
        self.headers = headers or []
        self.body = body


class UpstreamUnreachable(UpstreamError):
    code, retryable = "upstream_unreachable", True


class UpstreamProtocol(UpstreamError):
    code, retryable = "upstream_protocol_error", True


class UpstreamTimeout(UpstreamError):
    status, code, kind, retryable = 504, "upstream_timeout", "timeout", True


class UpstreamBroken(UpstreamError):
    code = "upstream_broken"


class CredentialUnavailable(UpstreamError):
    """A file, a command or a token's issuer gave no credential. `detail` says why, without it."""

    code, retryable = "credential_unavailable", True

    def __init__(self, detail: str) -> None:
        super().__init__("The gateway has no usable credential for this provider; its log says more.")
        self.detail = detail
