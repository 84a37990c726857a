"""Our Signature Version 4 is AWS's: the same header fields as botocore's signer, whatever is asked."""

from __future__ import annotations

import datetime
from unittest.mock import patch
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trunkline.providers.signing import AwsKeys, Outgoing, sign

auth = pytest.importorskip("botocore.auth")
awsrequest = pytest.importorskip("botocore.awsrequest")
credentials = pytest.importorskip("botocore.credentials")

AT = 1_795_373_907.0
MOMENT = datetime.datetime.fromtimestamp(AT, datetime.UTC)
HOST = "bedrock-runtime.eu-central-1.amazonaws.com"

words = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)
paths = st.lists(st.one_of(words, st.sampled_from([".", "..", "", "a:0", "~", "arn:aws:bedrock"])), max_size=5).map(
    lambda pieces: "/" + "/".join(quote(piece, safe="~") for piece in pieces)
)
queries = st.lists(st.tuples(words, words), max_size=3, unique_by=lambda pair: pair[0]).map(
    lambda pairs: "&".join(f"{quote(name, safe='~')}={quote(value, safe='~')}" for name, value in pairs)
)
tokens = st.one_of(st.none(), st.text("abcXYZ0189+/=", min_size=8, max_size=40))
bodies = st.binary(max_size=300)


def by_botocore(keys: AwsKeys, request: Outgoing, region: str) -> dict[str, str]:
    """What AWS's own signer adds. Only time is given to it."""
    known = credentials.Credentials(keys.access_key_id, keys.secret_access_key, keys.session_token)
    made = awsrequest.AWSRequest(
        method=request.method.decode(),
        url=f"https://{request.host}{request.path.decode()}",
        data=request.body,
        headers={name.decode(): value.decode() for name, value in request.headers if name == b"content-type"},
    )
    # The same moment for the signer's two ways to ask for it.
    with patch.object(auth, "get_current_datetime", return_value=MOMENT.replace(tzinfo=None), create=True):
        auth.SigV4Auth(known, "bedrock", region).add_auth(made)
    return {name.lower(): value for name, value in made.headers.items()}


@settings(max_examples=300, deadline=None)
@given(path=paths, query=queries, body=bodies, token=tokens, typed=st.booleans())
def test_a_signature_is_that_of_aws(path: str, query: str, body: bytes, token: str | None, typed: bool) -> None:
    keys = AwsKeys("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", token)
    headers = [(b"user-agent", b"trunkline")] + ([(b"content-type", b"application/json")] if typed else [])
    target = path + (f"?{query}" if query else "")
    request = Outgoing(b"POST", HOST, target.encode(), headers, body)
    ours = {name.decode(): value.decode() for name, value in sign(keys, request, "eu-central-1", "bedrock", AT)}
    theirs = by_botocore(keys, request, "eu-central-1")
    assert ours == {name: theirs[name] for name in ours}
    assert ("x-amz-security-token" in ours) is (token is not None)


def test_a_model_with_a_colon_is_encoded_twice() -> None:
    """The path goes out with %3A, and that is what is encoded once more for the signature."""
    keys = AwsKeys("AKIDEXAMPLE", "secret")
    sent = Outgoing(b"POST", HOST, b"/model/anthropic.claude-v2%3A1/converse", [], b"{}")
    plain = Outgoing(b"POST", HOST, b"/model/anthropic.claude-v2:1/converse", [], b"{}")
    (_, one), (_, other) = (sign(keys, each, "us-east-1", "bedrock", AT)[-1] for each in (sent, plain))
    assert one != other
    assert one.decode() == by_botocore(keys, sent, "us-east-1")["authorization"]


def test_keys_do_not_show_their_secret() -> None:
    assert "sesame" not in repr(AwsKeys("AKID", "sesame", "sesame too"))
