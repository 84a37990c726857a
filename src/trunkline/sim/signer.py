"""Signatures on what a client must hand back unchanged: thinking, and what only the simulator may read."""

from __future__ import annotations

import base64
import hashlib
import hmac


class Signer:
    """Signs the simulator's thinking and knows its own signature again."""

    def __init__(self, secret: str) -> None:
        self._key = secret.encode()

    def sign(self, text: str) -> str:
        return base64.b64encode(hmac.digest(self._key, text.encode("utf-8", "surrogatepass"), hashlib.sha256)).decode()

    def verify(self, text: str, signature: object) -> bool:
        return isinstance(signature, str) and hmac.compare_digest(self.sign(text).encode(), signature.encode())

    def seal(self, text: str) -> str:
        """The data of a redacted block: opaque to the client, recognisable here."""
        return base64.b64encode(f"{self.sign(text)}{text}".encode()).decode()

    def opens(self, data: object) -> bool:
        try:
            plain = base64.b64decode(str(data), validate=True).decode()
        except ValueError:
            return False
        return self.verify(plain[44:], plain[:44])
