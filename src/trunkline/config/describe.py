"""The settings described: JSON Schema, with words from the structs' source.

The words are the strings under the fields: whoever changes a setting has its documentation in view.
"""

from __future__ import annotations

import ast
import inspect
import textwrap
from typing import Any

import msgspec

from trunkline.config.schema import (
    Config,
    LedgerSettings,
    LogSettings,
    SimSettings,
    StateSettings,
    default_database,
    in_memory,
)
from trunkline.core.secret import Credential, Dsn, Secret, SecretCommand, SecretFile
from trunkline.edge.settings import ServerSettings
from trunkline.edge.transport.base import TransportSettings
from trunkline.policy.abuse import AbuseSettings, GuessingSettings, SharingSettings, SpikeSettings
from trunkline.policy.breaker import HealthSettings
from trunkline.policy.ceiling import ConcurrencySettings
from trunkline.policy.outage import RedisSettings
from trunkline.policy.probing import ProbeSettings
from trunkline.policy.queue import QueueSettings
from trunkline.policy.shedding import SheddingSettings
from trunkline.providers.catalog_facts import Facts
from trunkline.providers.settings import CredentialEntry, ProviderSettings
from trunkline.stages.admission.settings import AdmissionSettings, LimitSettings, TeamSettings
from trunkline.stages.conversation.settings import ResponsesSettings
from trunkline.stages.idempotency.settings import IdempotencySettings
from trunkline.stages.routing.beyond import HedgeSettings, MirrorSettings, RecoverSettings
from trunkline.stages.routing.settings import (
    AffinitySettings,
    ModelSettings,
    QuotaSettings,
    RetrySettings,
    RoutingSettings,
    TargetSettings,
)

SECTIONS: tuple[tuple[str, type[msgspec.Struct]], ...] = (
    ("Top level", Config),
    ("`providers.NAME`", ProviderSettings),
    ("`providers.NAME.credentials[]`", CredentialEntry),
    ("`providers.NAME.probe`", ProbeSettings),
    ("A credential in a file", SecretFile),
    ("A credential from a command", SecretCommand),
    ("`models.NAME`", ModelSettings),
    ("`models.NAME.targets[]`", TargetSettings),
    ("`models.NAME.targets[].quota`", QuotaSettings),
    ("`models.NAME.affinity`", AffinitySettings),
    ("`models.NAME.retry`", RetrySettings),
    ("`models.NAME.recover`", RecoverSettings),
    ("`models.NAME.hedge`", HedgeSettings),
    ("`models.NAME.mirror`", MirrorSettings),
    ("`routing`", RoutingSettings),
    ("`routing.health`", HealthSettings),
    ("`routing.concurrency`", ConcurrencySettings),
    ("`limits[]`", LimitSettings),
    ("`teams.NAME`", TeamSettings),
    ("`admission`", AdmissionSettings),
    ("`queue`", QueueSettings),
    ("`idempotency`", IdempotencySettings),
    ("`shedding`", SheddingSettings),
    ("`abuse`", AbuseSettings),
    ("`abuse.guessing`", GuessingSettings),
    ("`abuse.sharing`", SharingSettings),
    ("`abuse.spikes`", SpikeSettings),
    ("`catalog.MODEL`", Facts),
    ("`state`", StateSettings),
    ("`state.redis`", RedisSettings),
    ("`transport`", TransportSettings),
    ("`server`", ServerSettings),
    ("`ledger`", LedgerSettings),
    ("`responses`", ResponsesSettings),
    ("`log`", LogSettings),
    ("`sim`", SimSettings),
)
"""Every struct of the file, as the reference orders and titles them."""


SOURCES = (SecretFile, SecretCommand)
"""What a credential may be instead of text."""


def field_docs(struct: type[msgspec.Struct]) -> dict[str, str]:
    """The string under each field of a struct, as one line; empty where there is none. Inherited fields have theirs
    where they are declared."""
    docs: dict[str, str] = {}
    for one in reversed(struct.__mro__):
        if issubclass(one, msgspec.Struct) and one is not msgspec.Struct:
            docs |= _own_docs(one)
    return docs


def _own_docs(struct: type[msgspec.Struct]) -> dict[str, str]:
    (body,) = ast.parse(textwrap.dedent(inspect.getsource(struct))).body
    assert isinstance(body, ast.ClassDef)
    docs: dict[str, str] = {}
    for node, after in zip(body.body, [*body.body[1:], None], strict=True):
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            text = after.value.value if isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant) else ""
            docs[node.target.id] = " ".join(str(text).split())
    return docs


def json_schema() -> dict[str, Any]:
    """JSON Schema (2020-12) of the file, a description for every setting."""
    (root, *_), definitions = msgspec.json.schema_components((Config, *SOURCES), schema_hook=_hook)
    for _, struct in SECTIONS:
        docs = field_docs(struct)
        for item in msgspec.structs.fields(struct):
            schema = definitions[struct.__name__]["properties"][item.encode_name]
            if docs[item.name]:
                schema["description"] = docs[item.name]
            if item.default_factory in (default_database, in_memory):
                schema["default"] = str(item.default_factory())
            _bound(schema)
            _alone(schema)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Trunkline configuration",
        **root,
        "$defs": definitions,
    }


def _hook(kind: type) -> dict[str, Any]:
    if kind is Credential:
        sources = [{"$ref": f"#/$defs/{source.__name__}"} for source in SOURCES]
        return {"anyOf": [{"type": "string", "minLength": 1}, *sources]}
    if kind in (Secret, Dsn):
        return {"type": "string", "minLength": 1}
    raise NotImplementedError(kind.__name__)


def _alone(schema: dict[str, Any]) -> None:
    """Of a list of choices, one alone may stand without the list."""
    if schema.get("type") == "array" and "enum" in schema["items"]:
        schema["anyOf"] = [schema["items"], {name: schema.pop(name) for name in [*schema] if name in _OF_LISTS}]


_OF_LISTS = frozenset({"type", "items", "minItems", "maxItems"})


def _bound(schema: dict[str, Any]) -> None:
    """Numbers without bounds of their own are greater than zero, as the reader has it."""
    for one in schema.get("anyOf", [schema]):
        if one.get("type") in ("integer", "number") and "minimum" not in one:
            one["exclusiveMinimum"] = 0
