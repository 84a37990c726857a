"""One row of `providers:`: whom to call and with what credential. Its kind decides which fields mean something."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct, field

from trunkline.core.secret import Secret

Kind = Literal["openai", "anthropic", "azure", "openai-compatible"]


class ProviderSettings(Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """One entry of `providers:`. Its name is the first half of `provider/model`."""

    kind: Kind
    """Who it is: `openai`, `anthropic`, `azure` (Azure OpenAI) or `openai-compatible` (any host that speaks the OpenAI
    chat completions API)."""
    base_url: str | None = None
    """Where its API begins, version included as that provider's own SDK has it. Needed for `openai-compatible`; the
    public address of `openai` and `anthropic` where left out; not for `azure`, which has `endpoint`."""
    api_key: Secret | None = None
    """The credential. Needed for all kinds but `openai-compatible`."""
    organization: str | None = None
    """OpenAI's organization id, sent as `OpenAI-Organization`. `openai` only."""
    project: str | None = None
    """OpenAI's project id, sent as `OpenAI-Project`. `openai` only."""
    endpoint: str | None = None
    """The Azure resource, such as `https://my-resource.openai.azure.com`. `azure` only, and needed there."""
    api_version: str | None = None
    """The dated API version of Azure's classic, deployment-based paths, such as `2024-10-21`; Azure's v1 API is spoken
    where left out. `azure` only."""
    headers: dict[str, Secret] = field(default_factory=dict)
    """Header fields added to every request to this provider."""
    prices: str | None = None
    """Its id in the price list (genai-prices), such as `deepseek`, `groq` or `mistral`, or `free`. Left out: the kind's
    own; for `openai-compatible` none, and its calls count as unpriced."""
    models: tuple[str, ...] = ()
    """Ids of the models (for `azure`, the deployments) that this provider offers: listed by `/v1/models`, and usable
    without the provider's name where no other provider offers the same id."""
    timeout: float | None = None
    """Seconds that one attempt at this provider may take, its stream included; only the call's own deadline where left
    out."""
