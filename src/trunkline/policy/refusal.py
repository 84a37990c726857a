"""What an error says of the credential that was shown, rather than of the request."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from trunkline.core.errors import CredentialUnavailable, Kind, UpstreamError

Sentence = Literal["rest", "retire"]


class Refused(Struct, frozen=True):
    """`rest`: it has done enough for now. `retire`: it is of no use until somebody does something about it."""

    sentence: Sentence
    whole: bool
    """For all models, rather than for the one that was asked."""


_SENTENCES: dict[Kind, Refused] = {
    "authentication": Refused("retire", True),
    "billing": Refused("retire", True),
    "permission": Refused("retire", False),  # most often a model that the account was not given
    "rate_limit": Refused("rest", False),
    "quota": Refused("rest", False),
}


def refused(error: UpstreamError) -> Refused | None:
    """None: it is not about the credential."""
    if isinstance(error, CredentialUnavailable):
        return Refused("rest", True)
    if error.kind == "quota" and error.of_account:
        return Refused("retire", True)
    return _SENTENCES.get(error.kind)
