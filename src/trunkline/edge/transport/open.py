"""Which transport the settings ask for."""

from __future__ import annotations

from trunkline.edge.transport.base import Transport, TransportSettings


def open_transport(settings: TransportSettings) -> Transport:
    """The transport that `settings.client` names; connections are opened when they are first needed.

    Raises ValueError on an unknown name. aiohttp is imported only if it is the one.
    """
    match settings.client:
        case "lean":
            from trunkline.edge.transport.lean import LeanTransport

            return LeanTransport(settings)
        case "general":
            from trunkline.edge.transport.general import GeneralTransport

            return GeneralTransport(settings)
        case other:
            raise ValueError(f"transport.client {other!r}: use lean or general")
