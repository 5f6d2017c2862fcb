"""Log lines on consoles whose encoding lacks some characters: shown with replacements instead of a logging error."""

from __future__ import annotations

import logging
import sys
from typing import Any


def replace_what_cannot_be_encoded() -> None:
    """Have the console handlers of this process replace characters that their stream cannot encode.

    A job's log can have any character, and the console of a service or of a machine with the locale POSIX only ASCII.
    Streams, and what other handlers store, are unchanged.
    """
    for handler in logging.getLogger().handlers:
        if not isinstance(handler, logging.StreamHandler) or isinstance(handler, logging.FileHandler):
            continue
        if not isinstance(handler.formatter, EncodableFormatter):
            handler.setFormatter(EncodableFormatter(handler))


class EncodableFormatter(logging.Formatter):
    """Formats as the handler's formatter before it, and replaces characters that the stream cannot encode.

    Args:
        handler: The handler.
    """

    def __init__(self, handler: logging.StreamHandler[Any]) -> None:
        super().__init__()
        self._handler = handler
        self._before = handler.formatter or logging.Formatter()

    def format(self, record: logging.LogRecord) -> str:
        """Return the text of a record."""
        stream = self._handler.stream
        # ZenML's stream has no encoding of its own: it writes to stdout.
        known = stream if getattr(stream, "encoding", None) else sys.stdout
        return encodable(self._before.format(record), getattr(known, "encoding", None), getattr(known, "errors", None))


def encodable(text: str, encoding: str | None, errors: str | None) -> str:
    """Return a text in which characters that cannot be encoded are replaced.

    Args:
        text: The text.
        encoding: Name of the encoding; None if any character can be written.
        errors: How the stream treats other characters; None for `strict`.
    """
    if encoding is None or text.isascii():
        return text
    try:
        text.encode(encoding, errors or "strict")
    except (LookupError, UnicodeError):
        try:
            return text.encode(encoding, "replace").decode(encoding)
        except (LookupError, UnicodeError):
            return text.encode("ascii", "replace").decode("ascii")
    return text
