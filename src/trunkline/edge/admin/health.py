"""`/admin/v1/health`: who is left out, why and until when; what has changed lately; and the credentials that rest.

    GET    /admin/v1/health    {"targets": [...], "credentials": [...], "changes": [...]}

Times are seconds since the epoch, spans are seconds. It is what this process knows: other workers learn for themselves.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from trunkline.edge.admin.base import Resource
from trunkline.edge.admin.listed import shown

Rows = Callable[[], list[dict[str, Any]]]


def health(targets: Rows, credentials: Rows, changes: Rows) -> Resource:
    return shown(lambda: {"targets": targets(), "credentials": credentials(), "changes": changes()})
