"""TLS to upstreams: always verified, always with the host's name checked, resumed where the upstream allows it.

Resumption saves a round of certificates and signatures for every new connection to an origin that was seen before
(RFC 8446 section 2.2). asyncio has no parameter for it, so the context itself hands each handshake the last session of
that host. A ticket from another port of the same host is merely refused, and the handshake is then a full one.
"""

from __future__ import annotations

import os
import ssl

_SESSIONS = 1024
"""Hosts whose last session is kept."""


class ResumingContext(ssl.SSLContext):
    """A client context that remembers one session a host."""

    sessions: dict[str, ssl.SSLSession]

    def remember(self, connection: ssl.SSLObject) -> None:
        """Keep a connection's session. To be called once data has been read: TLS 1.3 sends its tickets then."""
        host, session = connection.server_hostname, connection.session
        if host is not None and session is not None and (host in self.sessions or len(self.sessions) < _SESSIONS):
            self.sessions[host] = session

    def wrap_bio(
        self,
        incoming: ssl.MemoryBIO,
        outgoing: ssl.MemoryBIO,
        server_side: bool = False,
        server_hostname: str | bytes | None = None,
        session: ssl.SSLSession | None = None,
    ) -> ssl.SSLObject:
        if session is None and isinstance(server_hostname, str):
            session = self.sessions.get(server_hostname)
        return super().wrap_bio(incoming, outgoing, server_side, server_hostname, session)


def client_context(ca_file: str | None) -> ResumingContext:
    """A context that trusts `ca_file`, else the system's certificates, else (where it has none) those of certifi.

    Raises ValueError where `ca_file` cannot be used.
    """
    context = ResumingContext(ssl.PROTOCOL_TLS_CLIENT)  # verifies certificate and host name from the start
    context.sessions = {}
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    if ca_file is not None:
        try:
            context.load_verify_locations(cafile=ca_file)
        except OSError as error:
            raise ValueError(f"transport.ca_file {ca_file!r}: {error}; name a file of PEM certificates") from error
        return context
    context.load_default_certs()
    if not _system_store(context):
        import certifi

        context.load_verify_locations(cafile=certifi.where())
    return context


def _system_store(context: ssl.SSLContext) -> bool:
    """Whether the system has certificates: loaded already, or in a folder that OpenSSL looks into when it verifies."""
    folder = ssl.get_default_verify_paths().openssl_capath
    return context.cert_store_stats()["x509"] > 0 or (os.path.isdir(folder) and bool(os.listdir(folder)))
