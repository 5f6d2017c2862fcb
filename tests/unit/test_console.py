"""Log lines on consoles that cannot encode every character."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zenml_azureml.plugin.console import encodable, replace_what_cannot_be_encoded

ENCODINGS = ["ascii", "latin-1", "cp1252", "utf-8", "shift_jis", "utf-16"]


@given(st.text(), st.sampled_from(ENCODINGS), st.sampled_from([None, "strict", "surrogateescape", "replace"]))
def test_every_text_can_be_written_and_what_could_be_before_is_unchanged(
    text: str, encoding: str, errors: str | None
) -> None:
    shown = encodable(text, encoding, errors)

    shown.encode(encoding, errors or "strict")
    try:
        text.encode(encoding, errors or "strict")
    except UnicodeError:
        assert shown != text
    else:
        assert shown == text


@pytest.mark.parametrize(
    ("text", "encoding", "shown"),
    [
        ("größer \u2192 50 %", "ascii", "gr??er ? 50 %"),
        ("größer \u2192 50 %", "latin-1", "größer ? 50 %"),
        ("größer \u2192 50 %", "utf-8", "größer \u2192 50 %"),
        ("größer", None, "größer"),
        ("größer", "no such encoding", "gr??er"),
    ],
)
def test_only_what_cannot_be_encoded_is_replaced(text: str, encoding: str | None, shown: str) -> None:
    assert encodable(text, encoding, None) == shown


@pytest.fixture
def console() -> Iterator[io.TextIOWrapper]:
    """A console that has only ASCII, with a handler of its own format."""
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logging.Formatter("<%(message)s>"))
    logging.getLogger().addHandler(handler)
    yield stream
    logging.getLogger().removeHandler(handler)


def test_a_handler_keeps_its_format_and_is_changed_once(console: io.TextIOWrapper) -> None:
    replace_what_cannot_be_encoded()
    replace_what_cannot_be_encoded()

    logging.getLogger("zenml_azureml.tests").error("%s", "größer")

    console.flush()
    assert console.buffer.getvalue() == b"<gr??er>\n"  # type: ignore[attr-defined]
