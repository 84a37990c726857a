"""Forms with files: one field is read or replaced, every other byte stays."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from trunkline.core.errors import BadRequest
from trunkline.dialects.multipart import boundary, parts, replaced, text

BOUNDARY = b"----b0undary"
NAMES = st.sampled_from(["file", "prompt", "model", "stream", "xmodel", "model2"])


def form(fields: list[tuple[str, bytes]]) -> bytes:
    lines = [
        b'--%b\r\nContent-Disposition: form-data; name="%b"; filename="model"\r\n\r\n%b\r\n'
        % (BOUNDARY, name.encode(), value)
        for name, value in fields
    ]
    return b"".join(lines) + b"--" + BOUNDARY + b"--\r\n"


FIELDS = st.lists(st.tuples(NAMES, st.binary(max_size=60)), max_size=6, unique_by=lambda field: field[0])


@given(FIELDS, st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1))
def test_only_the_replaced_field_is_another(fields: list[tuple[str, bytes]], model: str) -> None:
    assume(all(BOUNDARY not in value for _, value in fields))
    body = form(fields)
    found = [(part.name.decode(), body[part.start : part.end]) for part in parts(body, BOUNDARY)]
    assert found == fields
    changed = replaced(body, BOUNDARY, b"model", model)
    assert text(changed, BOUNDARY, b"model") == model
    again = [(part.name.decode(), changed[part.start : part.end]) for part in parts(changed, BOUNDARY)]
    assert [field for field in again if field[0] != "model"] == [field for field in fields if field[0] != "model"]
    assert replaced(changed, BOUNDARY, b"model", model) == changed


@given(st.binary(), st.binary(min_size=1, max_size=20))
def test_any_bytes_are_read_or_refused(body: bytes, between: bytes) -> None:
    for data in (body, b"--" + between + body, form([("file", body)])[:-20]):
        with contextlib.suppress(BadRequest):
            assert len(list(parts(data, between))) <= len(data)


@pytest.mark.parametrize(
    ("content_type", "wanted"),
    [
        (b"multipart/form-data; boundary=abc", b"abc"),
        (b'Multipart/Form-Data; charset=utf-8; boundary="a b c"', b"a b c"),
        (b"multipart/form-data", None),
        (b"multipart/form-data; boundary=" + b"x" * 71 + b";", None),
        (b"application/json", None),
        (None, None),
    ],
)
def test_the_boundary_is_in_the_content_type(content_type: bytes | None, wanted: bytes | None) -> None:
    assert boundary(content_type) == wanted


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        (b'Content-Disposition: form-data; name="file"', b"file"),
        (b'content-disposition:form-data;name=file;filename="a;b"', b"file"),
        (b'Content-Disposition: form-data; filename="; name=model"; name="file"', b"file"),
        (b'Content-Type: x/y\r\nContent-Disposition: form-data; name="file"; filename="name=model"', b"file"),
    ],
)
def test_a_parts_name_is_not_looked_for_in_its_files_name(line: bytes, wanted: bytes) -> None:
    body = b"--%b\r\n%b\r\n\r\nx\r\n--%b--\r\n" % (BOUNDARY, line, BOUNDARY)
    assert [part.name for part in parts(body, BOUNDARY)] == [wanted]


def test_an_escaped_quote_that_parsers_take_differently_is_refused() -> None:
    line = b'Content-Disposition: form-data; filename="\\"; name=model"; name="file"'
    with pytest.raises(BadRequest, match="name once"):
        list(parts(b"--%b\r\n%b\r\n\r\nx\r\n--%b--\r\n" % (BOUNDARY, line, BOUNDARY), BOUNDARY))


@pytest.mark.parametrize(
    "body",
    [
        # A second field that another parser would see: behind half a line break, or behind a boundary of its own kind.
        b'--B\nContent-Disposition: form-data; name="x"\r\n\r\nfoo\n--B\nContent-Disposition: form-data; name="model"'
        b"\n\nother\r\n--B--\r\n",
        b'--B\r\nContent-Disposition: form-data; name="x"\r\n\r\nfoo\r--B\r\n\r\n--B--\r\n',
        b'--B\r\nContent-Disposition: form-data; name="x"\r\n\r\nfoo\n--B\r\n\r\n--B--\r\n',
        b'--B\r\nContent-Disposition: form-data; name="x"\r\n\r\nfoo\r\n--BC\r\nContent-Disposition: form-data; '
        b'name="model"\r\n\r\nother\r\n--B--\r\n',
        b'--B\r\nContent-Disposition: form-data; name="x"\r\n\r\nfoo\r\n--B--\r\n--B\r\n',
        # A second name for one field.
        b"--B\r\nContent-Disposition: form-data; name=\"x\"; name*=utf-8''model\r\n\r\nfoo\r\n--B--\r\n",
        b"--B\r\nContent-Disposition: form-data; name*=utf-8''model\r\n\r\nfoo\r\n--B--\r\n",
        b'--B\r\nContent-Disposition: form-data; name="x"\r\n ; name="model"\r\n\r\nfoo\r\n--B--\r\n',
        b'--B\r\nContent-Disposition: form-data; name="x"\r\nContent-Disposition: attachment; name="model"\r\n\r\nfoo'
        b"\r\n--B--\r\n",
        b'--B\r\nContent-Disposition: form-data; name="x"\nContent-Disposition: form-data; name="model"\r\n\r\nfoo'
        b"\r\n--B--\r\n",
    ],
)
def test_what_two_parsers_could_take_differently_is_refused(body: bytes) -> None:
    with pytest.raises(BadRequest, match="multipart form"):
        list(parts(body, b"B"))


def test_a_form_of_too_many_parts_is_refused() -> None:
    with pytest.raises(BadRequest, match="more than 256 parts"):
        list(parts(form([("file", b"")] * 257), BOUNDARY))
