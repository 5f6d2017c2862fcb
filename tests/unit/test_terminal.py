"""Text from elsewhere, made safe to show and to store."""

from __future__ import annotations

import re
import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from zenml_azureml.safe_text import safe_log_line, safe_name, safe_text

#: The parts of which sequences are made, and of which nested ones come together again.
_PARTS = [
    *("\x1b", "[", "]", "P", "_", "^", "X", "c", "\\", "\x07", "\x9b", "\x9d", "\x90", "\x98", "\x9e", "\x9f", "\x9c"),
    *(
        "\x85",
        "\x8e",
        "\x18",
        "\x1a",
        "\x7f",
        "\x00",
        "\x08",
        "\r",
        "\n",
        "\t",
        "0",
        "31",
        "38;5;9",
        ";",
        ":",
        "m",
        "?",
    ),
    *("52;c;", "2J", "A", "H", " ", "word", "\u202e", "\u2066", "\u200d", "\ud800", "\udfff", "\U000e0041", "ü", "😀"),
]
_TEXTS = st.lists(st.sampled_from(_PARTS), max_size=30).map("".join) | st.text(
    st.characters(categories=["Cc", "Cf", "Cs", "Co", "L", "N", "P", "Zs"]), max_size=60
)
_SGR = re.compile(r"\x1b\[[0-9;:]{0,64}m")
_BIDI = {*range(0x202A, 0x202F), *range(0x2066, 0x206A), 0x200E, 0x200F, 0x061C}


def unsafe(text: str) -> list[str]:
    """The characters of a text that may not be in it."""
    return [
        character
        for character in text
        if unicodedata.category(character) in ("Cc", "Cs")
        or ord(character) in _BIDI
        or (unicodedata.category(character) == "Cf" and not character.isprintable() and ord(character) >= 0xE0000)
    ]


@given(_TEXTS)
@example("\x1b\x1b]52;c;AAAA\x07]52;c;QUJD\x07")
@example("\x1b[\x1b[31m31m")
def test_a_text_keeps_no_control_but_newline_and_tab_and_is_unchanged_if_it_is_given_again(text: str) -> None:
    safe = safe_text(text)

    assert unsafe(safe.replace("\n", "").replace("\t", "")) == []
    assert safe_text(safe) == safe
    safe.encode()


@given(_TEXTS)
def test_a_name_is_of_one_line_and_is_unchanged_if_it_is_given_again(text: str) -> None:
    safe = safe_name(text)

    assert unsafe(safe) == []
    assert safe_name(safe) == safe


@given(_TEXTS)
@example("\x1b[31")
@example("\x1b\b[31m\b\b")
def test_a_log_line_keeps_no_control_but_tab_and_colours_and_is_unchanged_if_it_is_given_again(text: str) -> None:
    safe = safe_log_line(text)

    assert unsafe(_SGR.sub("", safe).replace("\n", "").replace("\t", "")) == []
    assert safe_log_line(safe) == safe
    safe.encode()


@given(st.text(st.characters(categories=["L", "N", "P", "S", "Zs", "M"]) | st.sampled_from("\n\t\u200d"), max_size=80))
def test_a_text_without_controls_is_unchanged(text: str) -> None:
    assert safe_text(text) == text
    assert safe_log_line(text) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[2Jcleared", "cleared"),  # CSI
        ("\x1b[?1049hother screen", "other screen"),
        ("\x1b[2\x08Jcleared with a control inside", "cleared with a control inside"),
        ("\x9b2J8-bit", "8-bit"),
        ("\x1b]52;c;QUJD\x07clipboard", "clipboard"),  # OSC, ended by BEL
        ("\x1b]8;;https://x\x1b\\link\x1b]8;;\x1b\\", "link"),  # OSC, ended by ST
        ("\x9d0;title\x9cbehind", "behind"),
        ("before\x1b]0;never ended", "before"),
        ("before\x1b]0;never ended\nnext line", "before\nnext line"),
        ("\x1bPq#0;2;0\x1b\\sixel", "sixel"),  # DCS
        ("\x1bP+q\x07436f\x1b\\bell inside", "bell inside"),
        ("\x1b_Gi=1;AAAA\x1b\\kitty", "kitty"),  # APC
        ("\x1b^private\x1b\\message", "message"),  # PM
        ("\x1bXstart\x1b\\of string", "of string"),  # SOS
        ("\x1bcreset", "reset"),  # RIS
        ("\x1b7\x1b8\x1b(0\x1b#8\x1b%Gothers", "others"),
        ("\x1b\x1b]52;c;AA\x07]52;c;QUJD\x07", "]52;c;QUJD"),  # nested: what is left is text
        ("\x1b[\x1b[2J2Jnested", "2Jnested"),
        ("\x1b]\x1b]52;c;QUJD\x07x", "x"),
        ("bell\x07 and nul\x00 and del\x7f", "bell and nul and del"),
        ("overwritten\b\b\b\b\bby nothing", "overwrittenby nothing"),
        ("our words\rtheirs", "our words\ntheirs"),
        ("one\r\ntwo", "one\ntwo"),
        ("admin\u202enimda", "adminnimda"),  # right-to-left override
        ("a\u2066b\u2069c\u200fd", "abcd"),
        ("tag\U000e0041s", "tags"),
        ("half \ud83d", "half \ufffd"),
        ("\x1b[31mred\x1b[0m", "red"),
    ],
)
def test_a_text_is_what_a_terminal_would_show(text: str, shown: str) -> None:
    assert safe_text(text) == shown


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("\x1b[31mred\x1b[0m", "\x1b[31mred\x1b[0m"),
        ("\x1b[1;38;5;208mx\x1b[m", "\x1b[1;38;5;208mx\x1b[m"),
        ("\x1b[38:2::255:0:0mx\x1b[39m", "\x1b[38:2::255:0:0mx\x1b[39m"),
        ("\x1b[31mred to the end", "\x1b[31mred to the end\x1b[0m"),  # not into the reader's own lines
        ("\x1b[8mhidden\x1b[0m", "hidden\x1b[0m"),
        ("\x1b[38;9;8mhidden", "hidden"),
        ("\x1b[5mblinks", "blinks"),
        ("\x1b[31", ""),
        ("10%\r20%\r30%\r", "30%"),
        ("10%\b\b\b20%\b\b\b100%", "100%"),
        ("|\b/\b-\b done", " done"),
        ("abc\b\b\b", "abc"),  # the cursor has moved, and nothing is erased
        ("\x1b[31mab\b\x1b[32mc\x1b[0m", "\x1b[31ma\x1b[32mc\x1b[0m"),
    ],
)
def test_a_log_line_is_what_a_terminal_would_finally_show(line: str, shown: str) -> None:
    assert safe_log_line(line) == shown


def test_a_long_sequence_that_never_ends_is_read_once() -> None:
    assert safe_text("x" + "\x1b]" * 500_000 + "y") == "x"
    assert safe_text("\x1b[" + "1;" * 2_000_000) == ""
    assert safe_log_line("\x1bP" + "a" * 4_000_000) == ""
