"""What is no dialect of conversations and reads bytes from outside all the same: embeddings, completions, forms, and
what the Responses API remembers.

The first byte of an input chooses the action, the second one of its variants; the rest is the body.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from tests.corpus.exchanges import TOOLS, library
from trunkline.core.call import Addressed, Peek
from trunkline.core.embedding import EmbedRequest
from trunkline.core.errors import ClientError, UpstreamError
from trunkline.dialects import composed, embeddings, gemini, multipart, openai_chat, openai_responses
from trunkline.dialects.base import Dialect, Quirks
from trunkline.dialects.openai_responses import remembered
from trunkline.edge.limits import check_text

FORMATS = tuple(embeddings.FORMATS.values())
ASKED = EmbedRequest(items=[])
LARGEST = 16 * 1024
SURFACES: dict[str, Dialect] = {"openai": openai_chat.DIALECT} | dict.fromkeys(
    ("gemini", "gemini-batch", "vertex", "vertex-batch", "predict"), gemini.DIALECT
)
"""Whose endpoint takes a format, and so looks at the body first; the others are Bedrock's."""


def embed_requests(body: bytes, variant: int) -> None:
    form = FORMATS[variant % len(FORMATS)]
    check_text(body)  # as the edge does, before anybody reads
    SURFACES.get(form.name, composed.INVOKE).peek(body, Addressed("m"))
    embeddings.invoked(body)
    form.patch(body, "another")
    request = form.read_request(body)
    for other in FORMATS:
        try:
            other.write_request(request, "m", [])
        except ClientError:
            pass


def embed_answers(body: bytes, variant: int) -> None:
    form = FORMATS[variant % len(FORMATS)]
    form.tokens(body, [])
    answer = form.read_answer(body, [(b"x-amzn-bedrock-input-token-count", body[:3])])
    if not answer.vectors:
        return  # fewer than texts: the edge does not go on with it
    answer.tokens = answer.tokens or 0  # the edge estimates what nobody counted
    for other in FORMATS:
        other.write_answer(answer, ASKED, Peek("m"))
        other.answer_headers(answer)


def completions(body: bytes, variant: int) -> None:
    check_text(body)
    dialect = composed.COMPLETIONS
    peek = dialect.peek(body, Addressed("m"))
    dialect.patch(body, "another", peek, Quirks())
    openai_chat.DIALECT.write_request(dialect.read_request(body, peek), "m", Quirks(), [])


def completed(body: bytes, variant: int) -> None:
    reader = composed.COMPLETIONS.reader(False)
    list(reader.feed(body))
    list(reader.eof())


def forms(body: bytes, variant: int) -> None:
    boundary = multipart.boundary(b"multipart/form-data; boundary=" + body[:variant]) or b"xx"
    multipart.text(body, boundary, b"model")
    multipart.replaced(body, boundary, b"model", "another")


def lives(body: bytes, variant: int) -> None:
    check_text(body)
    openai_responses.DIALECT.peek(body)
    remembered.read_life(body)
    items = remembered.input_items(body)
    remembered.expanded(body, items)
    remembered.for_provider(items, (("", len(items)),), "q")


def remembered_answers(body: bytes, variant: int) -> None:
    answer = remembered.read_answer(body)
    if answer is not None:
        remembered.for_provider(answer.output, (("p", len(answer.output)),), "q")
        remembered.portable(body)


ACTIONS: dict[str, Callable[[bytes, int], None]] = {
    "embed request": embed_requests,
    "embed answer": embed_answers,
    "completion request": completions,
    "completion answer": completed,
    "form": forms,
    "life": lives,
    "response": remembered_answers,
}
_LISTED = tuple(ACTIONS.values())
_FORM = b'--xx\r\ncontent-disposition: form-data; name="model"\r\n\r\nm\r\n--xx--\r\n'
OWN: tuple[tuple[str, bytes], ...] = (
    ("embed request", b'{"model":"m","input":["a"],"dimensions":3,"encoding_format":"base64"}'),
    ("embed request", b'{"content":{"parts":[{"text":"a"}]},"taskType":"RETRIEVAL_QUERY"}'),
    ("embed request", b'{"requests":[{"content":{"parts":[{"text":"a"}]}}]}'),
    ("embed request", b'{"instances":[{"content":"a"}],"parameters":{"autoTruncate":true}}'),
    ("embed request", b'{"inputText":"a","normalize":true}'),
    ("embed request", b'{"texts":["a"],"input_type":"search_query","truncate":"END"}'),
    ("embed request", b'{"taskType":"SINGLE_EMBEDDING","singleEmbeddingParams":{"text":{"value":"a"}}}'),
    ("embed answer", b'{"data":[{"embedding":[0.5],"index":0}],"usage":{"prompt_tokens":1}}'),
    ("embed answer", b'{"data":[{"embedding":"AAAAPw==","index":0}]}'),
    ("embed answer", b'{"embedding":{"values":[0.5]}}'),
    ("embed answer", b'{"embeddings":[{"values":[0.5]}]}'),
    ("embed answer", b'{"embedding":[0.5],"inputTextTokenCount":1}'),
    ("embed answer", b'{"embeddings":{"float":[[0.5]]}}'),
    ("embed answer", b'{"predictions":[{"embeddings":{"values":[0.5],"statistics":{"token_count":1}}}]}'),
    ("completion request", b'{"model":"m","prompt":"a","max_tokens":3,"echo":false}'),
    ("completion answer", b'{"id":"c","choices":[{"text":"a","index":0,"finish_reason":"stop"}]}'),
    ("form", _FORM),
    ("life", b'{"model":"m","input":"a","store":true,"previous_response_id":"resp_1"}'),
    ("life", b'{"model":"m","input":[{"type":"reasoning","id":"rs_1"},{"role":"user","content":"a"}]}'),
    (
        "response",
        b'{"id":"resp_1","status":"completed","output":[{"type":"reasoning","id":"rs_1"},{"type":"message"}]}',
    ),
)
RECORDED = (("mbed", "embed request", "embed answer"), ("/completions", "completion request", "completion answer"))
"""A part of an endpoint's name, and what its recordings begin."""


def one_input(data: bytes) -> bool:
    """Whether it was taken rather than refused. Raises whatever is not declared."""
    if len(data) < 2:
        return False
    try:
        _LISTED[data[0] % len(_LISTED)](data[2:], data[1])
    except (ClientError, UpstreamError):
        return False
    return True


def seed(action: str, body: bytes, variant: int = 0) -> bytes:
    return bytes([list(ACTIONS).index(action), variant]) + body


def seeds() -> Iterator[bytes]:
    variants = range(len(FORMATS))
    yield from (seed(action, body, variant) for action, body in OWN for variant in variants)
    if not (TOOLS / "corpus.py").exists():
        return
    corpus = library()
    for endpoint, request, answer in RECORDED:
        rows = [row for row in corpus.entries() if endpoint in row["endpoint"] and "chat" not in row["endpoint"]]
        for found in (corpus.exchange(row["id"]) for row in rows):
            if len(found.request) + len(found.response) <= LARGEST:
                yield from (seed(request, found.request, variant) for variant in variants)
                yield from (seed(answer, found.response, variant) for variant in variants)
