"""Thought signatures through clients of this dialect.

`thoughtSignature` is bytes, so in JSON it is base64, and the SDKs decode it: what other families need back unchanged
must be base64 too. It may stand on any part. A thought of another family's model is sealed on its own part; but many
clients keep the signatures of function calls alone (they must, or Gemini itself refuses the next turn) and drop
thoughts. So the first call after them carries them once more, and the reader takes whichever has come back.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence

from trunkline.dialects.carried import Carried, pack, seal, unpack, unseal
from trunkline.dialects.gemini.vocabulary import NAME

PLACEHOLDER = "c2tpcF90aG91Z2h0X3NpZ25hdHVyZV92YWxpZGF0b3I="
"""`skip_thought_signature_validator`: what Google documents for calls in a history that its model did not write."""

_SEALED = "dGwx"
"""How the base64 of a seal, and of thoughts packed, begins."""
_OURS = re.compile(rb'("thought_?[sS]ignature"\s*:\s*)"' + _SEALED.encode() + rb'[A-Za-z0-9+/_=-]*"')
_REDACTED = "redacted~"
_MARK = "tl1"


def sealed(signature: str, maker: str, redacted: bool = False) -> str:
    """The signature of a thought as a client gets it. `redacted`: it is an encrypted thought itself."""
    if maker in {"", NAME}:
        return signature
    return _encoded(seal(signature, f"{_REDACTED}{maker}" if redacted else maker, NAME))


def unsealed(signature: str) -> tuple[str, str, bool]:
    """(signature, maker, whether it is an encrypted thought) of what a client sent back."""
    plain = _decoded(signature)
    if plain is None:
        return signature, NAME, False
    bare, maker = unseal(plain, NAME)
    if maker == NAME:
        return signature, NAME, False
    return bare, maker.removeprefix(_REDACTED), maker.startswith(_REDACTED)


def packed(thoughts: Sequence[Carried]) -> str:
    """Thoughts, and the call's own signature, as the signature of a function call."""
    return _encoded(pack(_MARK, thoughts))


def unpacked(signature: str) -> list[Carried]:
    """What was packed; nothing where the signature is the service's own."""
    plain = _decoded(signature)
    return unpack(plain)[1] if plain is not None else []


def unmarked(body: bytes) -> bytes:
    """A client's body for the service itself, which would refuse what only the gateway can read: signatures of other
    families' models become the placeholder. No signature of the service's own begins as ours do: its first byte would
    be no valid tag of a protocol buffer."""
    return _OURS.sub(rb'\1"' + PLACEHOLDER.encode() + b'"', body) if b'"' + _SEALED.encode() in body else body


def _encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def _decoded(signature: str) -> str | None:
    """The text of one of ours; None for any other. SDKs write base64 back in the alphabet for URLs."""
    if not signature.startswith(_SEALED):
        return None
    plain = signature.replace("-", "+").replace("_", "/")
    try:
        return base64.b64decode(plain + "=" * (-len(plain) % 4)).decode()
    except ValueError:  # no base64, or no text in it
        return None
