"""Reading a JSON object field by field, so that nothing is dropped unseen.

Whatever is taken is checked and removed; what is left at the end is what we do not know, and the reader keeps it.
Errors name the field by its JSON path in the client's own body.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NoReturn, TypeVar

import msgspec
from msgspec import Struct

from trunkline.core.errors import BadRequest

T = TypeVar("T")

_NAMES = {
    str: "a string",
    int: "an integer",
    float: "a number",
    bool: "true or false",
    dict: "an object",
    list: "an array",
}
TYPED = b'"type"'
"""In chat and Messages bodies whatever is no plain text says its type: one without this holds nothing else."""
_decode = msgspec.json.Decoder().decode
_raw = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


def decode_object(body: bytes) -> dict[str, Any]:
    """The request body as a JSON object. Raises BadRequest."""
    try:
        value = _decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        why = f"not valid JSON: {error}" if body.strip() else "empty; send a JSON object"
        raise BadRequest(f"The request body is {why}.", code="invalid_json") from error
    except RecursionError as error:
        raise BadRequest("The request body is nested too deeply.", code="invalid_json") from error
    if not isinstance(value, dict):
        raise BadRequest(f"The request body must be a JSON object, not {_name(value)}.", code="invalid_json")
    return value


def raw_fields(body: bytes) -> dict[str, msgspec.Raw]:
    """The fields of a JSON object, the bytes of each value as they came. Raises BadRequest: a look at a few fields does
    not see that another one's name is no UTF-8."""
    try:
        return _raw(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        decode_object(body)  # the slow way, for the sake of its error messages
        raise


def _name(value: Any) -> str:
    return "null" if value is None else _NAMES.get(type(value), type(value).__name__)


def wrong(path: str, wanted: str, value: Any) -> BadRequest:
    return BadRequest(f"{path} must be {wanted}, not {_name(value)}.", param=path)


def missing(path: str) -> NoReturn:
    """Raises BadRequest for a string that must be there."""
    raise BadRequest(f"{path} is required and must be a string.", param=path)


class Fields:
    """One JSON object being read. `at` is its path, "" for the body itself. The dict is consumed."""

    __slots__ = ("_within", "at", "left")

    def __init__(self, value: Any, at: str = "") -> None:
        if type(value) is not dict:
            raise wrong(at or "The request body", "an object", value)
        self.left: dict[str, Any] = value
        self.at = at
        self._within: dict[str, Fields] | None = None

    def path(self, name: str) -> str:
        return f"{self.at}.{name}" if self.at else name

    def need(self, name: str, kind: type[T]) -> T:
        """A field that must be there. Raises BadRequest."""
        value = self.left.pop(name, None)
        if type(value) is kind:
            return value
        if value is None:
            path = self.path(name)
            raise BadRequest(f"{path} is required and must be {_NAMES[kind]}.", param=path)
        raise wrong(self.path(name), _NAMES[kind], value)

    def get(self, name: str, kind: type[T]) -> T | None:
        """A field that may be absent or null. Raises BadRequest on another type."""
        value = self.left.pop(name, None)
        if value is None or type(value) is kind:
            return value
        raise wrong(self.path(name), _NAMES[kind], value)

    def number(self, name: str) -> float | None:
        value = self.left.pop(name, None)
        if value is None or type(value) is float:
            return value
        if type(value) is int:
            return float(value)
        raise wrong(self.path(name), "a number", value)

    def inner(self, name: str) -> Fields:
        """An object within; none there reads as an empty one. What nobody takes of it is in `rest` of this one."""
        fields = Fields(dict(self.get(name, dict) or ()), self.path(name))
        if self._within is None:
            self._within = {}
        self._within[name] = fields
        return fields

    def any(self, name: str) -> Any:
        return self.left.pop(name, None)

    def strings(self, name: str) -> list[str] | None:
        """An array of strings; a single string stands for an array of one."""
        value = self.left.pop(name, None)
        if value is None:
            return None
        if type(value) is str:
            return [value]
        if type(value) is list and all(type(item) is str for item in value):
            return value
        raise wrong(self.path(name), "a string or an array of strings", value)

    def fill(self, into: Struct, table: Table) -> None:
        """Read the fields that are there and in the table. Most of a request's fields are absent: to ask for each of
        them by name costs 4 µs a request, to walk those present 0.5."""
        for name, value in list(self.left.items()):
            if value is not None and (row := table.get(name)) is not None:
                attribute, read = row
                setattr(into, attribute, read(self, name))

    def rest(self) -> dict[str, Any] | None:
        """What nobody took: fields we do not know, those of inner objects by dotted names. Nulls say nothing and are
        passed over."""
        if not self.left and self._within is None:
            return None
        left = {name: value for name, value in self.left.items() if value is not None}
        for name, fields in (self._within or {}).items():
            if rest := fields.rest():
                left |= {f"{name}.{key}": value for key, value in rest.items()}
        return left or None


Table = Mapping[str, tuple[str, Callable[[Fields, str], Any]]]
"""The optional fields of an object: wire name to the struct's attribute and the method that reads it."""


def typed(kind: type) -> Callable[[Fields, str], Any]:
    """`Fields.get` of one type, as a table's row needs it."""
    return lambda fields, name: fields.get(name, kind)
