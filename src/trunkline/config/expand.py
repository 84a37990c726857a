"""`${VAR}`, `${VAR:-default}` and `$$` in the configuration's values.

As in a shell, `:-` gives the default where the variable is unset or empty. Values are not expanded again, so that what
the environment holds can never name another variable.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

_TOKEN = re.compile(
    r"""\$(?:
        (?P<escape>\$)
      | \{ (?P<name>[A-Za-z_][A-Za-z0-9_]*) (?: :- (?P<default>[^}]*) )? \}
      | (?P<stray>\{)
    )""",
    re.VERBOSE,
)


class ExpansionError(ValueError):
    """A variable that is not set, or a `${` that names none. The message is complete and shows no value."""


def expand(text: str, environ: Mapping[str, str]) -> str:
    """The text with its variables filled in. Raises ExpansionError."""

    def value(token: re.Match[str]) -> str:
        if token["escape"]:
            return "$"
        if token["stray"]:
            raise ExpansionError("a ${ must be followed by a variable's name and }; write $$ for a plain dollar sign")
        found = environ.get(token["name"], "")
        if found or (token["default"] is None and token["name"] in environ):
            return found
        if token["default"] is None:
            raise ExpansionError(
                f"the environment variable {token['name']} is not set; "
                f"set it, or give a default: ${{{token['name']}:-default}}"
            )
        return str(token["default"])

    return _TOKEN.sub(value, text)
