"""Which part a media type is, both ways. Google has one shape for all bytes (`inlineData`) and one for all that lies
elsewhere (`fileData`); what it is the media type alone says.
"""

from __future__ import annotations

from collections.abc import Mapping

from trunkline.core.request import Audio, Document, FileId, Image, Inline, PlainText, Source, Url, Video

Media = Image | Document | Audio | Video

_STORES = ("https://generativelanguage.googleapis.com/", "files/")
"""Where Google's own Files API keeps what was uploaded: an id for any other provider."""

_VIDEOS = ("https://www.youtube.com/", "https://youtube.com/", "https://youtu.be/")

_AUDIO_FORMATS: Mapping[str, str] = {"mpeg": "mp3", "x-wav": "wav", "wave": "wav"}
"""Subtypes of audio that have another name as OpenAI's `format`."""

_BY_SUFFIX: Mapping[str, str] = {
    "png": "image/png", "jpg": "image/jpeg", "jpeg": "image/jpeg", "gif": "image/gif", "webp": "image/webp",
    "heic": "image/heic", "heif": "image/heif", "pdf": "application/pdf", "txt": "text/plain", "html": "text/html",
    "css": "text/css", "csv": "text/csv", "md": "text/markdown", "json": "application/json", "mp4": "video/mp4",
    "mov": "video/mov", "mpeg": "video/mpeg", "webm": "video/webm", "mp3": "audio/mp3", "wav": "audio/wav",
    "ogg": "audio/ogg", "flac": "audio/flac", "aac": "audio/aac",
}  # fmt: skip
"""Media types by the end of a URL's path: Vertex wants to be told."""


def part_of(source: Source, media_type: str, at: str) -> Media | None:
    """The part for a source of this type; None where the core has none."""
    kind, _, subtype = media_type.partition("/")
    match kind, source:
        case "image", _:
            return Image(source, at=at)
        case "video", _:
            return Video(source, at=at)
        case "audio", Inline(data=data):
            return Audio(data, _AUDIO_FORMATS.get(subtype, subtype), at=at)
        case (("application" | "text"), _):
            return Document(source, at=at)
        case "", Url(url) if url.startswith(_VIDEOS):
            return Video(source, at=at)
    return None


def located(uri: str, media_type: str | None) -> Source:
    return FileId(uri, media_type) if uri.startswith(_STORES) else Url(uri, media_type)


def type_of(source: Source, default: str = "") -> str:
    """The media type of a source, guessed from its address where it is not told."""
    if isinstance(source, Inline):
        return source.media_type
    if isinstance(source, PlainText):
        return "text/plain"
    if source.media_type:
        return source.media_type
    # By hand: a parser refuses addresses that are none, and it is for the service to say so.
    path = source.url.partition("?")[0].partition("#")[0] if isinstance(source, Url) else ""
    return _BY_SUFFIX.get(path.rpartition(".")[2].lower(), default)
