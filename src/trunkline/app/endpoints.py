"""The endpoints: calls, which go through the pipeline, and pages, which do not."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trunkline.app import told
from trunkline.core.pipeline import Handler
from trunkline.edge import model_pages
from trunkline.edge.admin import Admin
from trunkline.edge.admin.config import Configuration
from trunkline.edge.admin.explain import explained
from trunkline.edge.admin.health import health as health_of
from trunkline.edge.admin.keys import Keys
from trunkline.edge.admin.limits import Limits
from trunkline.edge.admin.listed import listed
from trunkline.edge.pages import Health, Metrics
from trunkline.edge.server import Edge
from trunkline.providers.catalog_view import configured
from trunkline.state.exposition import exposition

if TYPE_CHECKING:
    from trunkline.app.gateway import Gateway


def edge_of(gateway: Gateway, handle: Handler) -> Edge:
    """`handle`: the pipeline."""
    config, auth = gateway.config, gateway.auth
    models = model_pages.Models(lambda: gateway.directory, auth.identify)
    health = Health(gateway.status, config.admin_key)
    return Edge(
        handle,
        config.server,
        pages={
            **dict.fromkeys((*model_pages.PAGES, *model_pages.BELOW), models),
            "/healthz": health.live,
            "/readyz": health.ready,
            "/metrics": Metrics(lambda: exposition(gateway.meters.total()), auth.identify, config.admin_key),
            "/admin/": _admin(gateway),
        },
        identify=auth.identify,
        admit=gateway.admittance,
        behind=lambda: gateway.conversation.runs.active + len(gateway.idempotency.records.running),
    )


def _admin(gateway: Gateway) -> Admin:
    """One resource a row: what is below /admin/v1."""
    stores = gateway.stores
    return Admin(
        gateway.config.admin_key,
        {
            "config": Configuration(gateway.reloader.shown, gateway.reload),
            "explain": explained(gateway.explain, stores.keys),
            "health": health_of(lambda: told.health(gateway), gateway.credentials, gateway.changes.shown),
            "keys": Keys(stores.keys, stores.keys_changed),
            "limits": Limits(gateway.admission.shown),
            "models": listed(lambda: configured(gateway.directory, gateway.upstream.lessons.shown())),
        },
    )
