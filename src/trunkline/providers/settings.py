"""One row of `providers:`: whom to call and with what credential. Its kind decides which fields mean something."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct, field

from trunkline.core.secret import Credential, Secret
from trunkline.policy.probing import ProbeSettings

Kind = Literal[
    "openai", "anthropic", "gemini", "vertex", "bedrock", "azure", "openai-compatible",
    "cerebras", "cohere", "deepseek", "fireworks", "groq", "huggingface", "mistral", "ollama", "openrouter",
    "perplexity", "together", "vercel", "vllm", "xai",
]  # fmt: skip

MAX_CREDENTIALS = 64
"""Of one provider."""


class CredentialSettings(Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """What a provider may want to see. Each kind knows some of these fields."""

    api_key: Credential | None = None
    """The API key: a text, `{file: path}` or `{command: [program, argument, …], ttl: seconds}`, as every credential
    field here. For `bedrock` a Bedrock API key, for `vertex` an access token. Not needed where the kind has another
    credential or the host asks for none."""
    access_key_id: str | None = None
    """The AWS access key that signs. Where neither this nor `api_key` is set, AWS's default chain is asked: the
    environment, web identity, shared files, container, instance. `bedrock` only."""
    secret_access_key: Credential | None = None
    """What belongs to `access_key_id`. `bedrock` only."""
    session_token: Credential | None = None
    """What temporary AWS keys have beside it. `bedrock` only."""
    profile: str | None = None
    """The profile of AWS's shared files to take keys from. `bedrock` only."""
    role_arn: str | None = None
    """The AWS role to assume with the keys; renewed before it expires. `bedrock` only."""
    external_id: str | None = None
    """What the role's trust policy asks for. `bedrock` only."""
    service_account: Credential | None = None
    """Google credentials as JSON, usually `{file: key.json}`: a service account, an authorized user or an external
    account. Where left out, those of `GOOGLE_APPLICATION_CREDENTIALS`, of `gcloud`, or of the machine itself.
    `vertex` only."""
    tenant_id: str | None = None
    """The Entra ID tenant; with `client_id` and `client_secret` instead of an API key. `azure` only."""
    client_id: str | None = None
    """The Entra ID application; alone with `managed_identity`, the identity to be. `azure` only."""
    client_secret: Credential | None = None
    """The secret of `client_id`. `azure` only."""
    managed_identity: bool = False
    """Ask the Azure machine that the gateway runs on for its own identity. `azure` only."""


class CredentialEntry(CredentialSettings, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """One entry of `credentials:`."""

    weight: Annotated[float, Meta(gt=0, le=1000)] = 1.0
    """Its share of the calls, beside the others'."""


class ProviderSettings(CredentialSettings, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """One entry of `providers:`. Its name is the first half of `provider/model`."""

    kind: Kind
    """Who it is. `openai`, `anthropic`, `gemini` (Google AI Studio), `vertex` (Google Cloud), `bedrock` (AWS), `azure`
    (Azure OpenAI and AI Foundry), `openai-compatible` (any host that speaks the OpenAI chat completions API), or such a
    host that is known by name."""
    base_url: str | None = None
    """Where its API begins, version included as that provider's own SDK has it. Needed for `openai-compatible`; the
    public address of the others where left out; not for `azure`, which has `endpoint`."""
    api_keys: Annotated[tuple[Credential, ...], Meta(max_length=MAX_CREDENTIALS)] = ()
    """Several API keys, used in turn. One that the provider refuses (401, 403, 429) rests for a while, and another is
    tried at once."""
    credentials: Annotated[tuple[CredentialEntry, ...], Meta(max_length=MAX_CREDENTIALS)] = ()
    """Several credentials of any sort, used in turn by weight, resting like `api_keys`."""
    organization: str | None = None
    """OpenAI's organization id, sent as `OpenAI-Organization`. `openai` only."""
    project: str | None = None
    """OpenAI's project id, sent as `OpenAI-Project`; for `vertex` the Google Cloud project, needed there."""
    location: str | None = None
    """The Google Cloud region, such as `europe-west4`; `global` where left out. `vertex` only."""
    region: str | None = None
    """The AWS region, such as `eu-central-1`. `bedrock` only, and needed there."""
    endpoint: str | None = None
    """The Azure resource, such as `https://my-resource.openai.azure.com` or
    `https://my-resource.services.ai.azure.com`. `azure` only, and needed there."""
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
    probe: ProbeSettings | None = None
    """Asking its targets without a caller, while they are out."""
    timeout: float | None = None
    """Seconds that one attempt at this provider may take, its stream included; only the call's own deadline where left
    out."""
