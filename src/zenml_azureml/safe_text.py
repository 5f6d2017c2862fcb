"""Text from elsewhere, made safe to show and to store: logs, Azure's messages, names. Standard library only.

A terminal executes control sequences: they can clear it, write to the clipboard, or rename its window. So all text from
other sources passes one of these functions before it reaches a terminal, a log, an error or ZenML's server. Each
function reads its text once, from left to right, as a terminal would (ECMA-48, and the state machine of DEC's VT500
that terminals implement), and keeps:

- printable characters, newlines and tabs;
- sequences for colours, in logs only.

The functions return their own results unchanged.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache

#: Controls that a terminal executes in the middle of a sequence, which continues after them.
_INSIDE = r"[\x00-\x09\x0b-\x17\x19\x1c-\x1f\x7f]"

#: The rest of a string; a newline, another sequence, CAN and SUB end an incomplete sequence.
_STRING = r"[^\n\x18\x1a\x1b\x80-\x9f]*"

#: Invisible characters: they reorder the text around them (Unicode's "Trojan Source"), or hide or carry text. The
#: joiners U+200C and U+200D stay, since Persian and emoji need them.
_INVISIBLE = (
    "\u00ad\u061c\u180e\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    "\U0001d173-\U0001d17a\U000e0000-\U000e007f"
)

_UNSAFE = re.compile(rf"[\x00-\x08\x0b-\x1f\x7f-\x9f{_INVISIBLE}\ud800-\udfff]")

_CONTROL = re.compile(
    rf"""
      \x1b\[(?P<colours>[0-9;:]{{0,64}})m                                          # SGR
    | (?:\x1b{_INSIDE}*\[ | \x9b)(?:{_INSIDE} | [\x20-\x3f])*[\x40-\x7e\x18\x1a]?   # CSI
    | (?:\x1b{_INSIDE}*\] | \x9d)[^\n\x07\x18\x1a\x1b\x80-\x9f]*(?:[\x07\x18\x1a\x9c] | \x1b\\)?   # OSC
    | (?:\x1b{_INSIDE}*[PX^_] | [\x90\x98\x9e\x9f]){_STRING}(?:[\x18\x1a\x9c] | \x1b\\)?   # DCS, SOS, PM, APC
    | \x1b(?:{_INSIDE} | [\x20-\x2f])*[\x30-\x7e\x18\x1a]?                         # RIS and all other sequences
    | (?P<broken>[\ud800-\udfff])                                                 # one half of a character
    | [\x00-\x08\x0b-\x1f\x7f-\x9f{_INVISIBLE}]
    """,
    re.VERBOSE,
)

#: SGR parameters that are kept: bold to reverse, strike-through, colours. Not 5 and 6 (blink) and 8 (conceal).
_COLOURS = frozenset({1, 2, 3, 4, 7, 9, 21, 53, *range(30, 38), *range(40, 48), *range(90, 98), *range(100, 108)})
#: Parameters that end others.
_ENDS = frozenset({0, 22, 23, 24, 27, 29, 39, 49, 55, 59})
#: Parameters that are followed by a colour, as `5;N` or `2;R;G;B`.
_EXTENDED = frozenset({38, 48, 58})
_RESET = "\x1b[0m"
#: The sequences of most programs, all of which are kept: a subset of what `_are_colours` accepts.
_CODE = r"(?:0|[123479]|2[123479]|3[0-79]|4[0-79]|9[0-7]|10[0-7])"
_USUAL_COLOURS = re.compile(rf"\x1b\[(?:{_CODE}(?:;{_CODE})*)?m")
_ANY_COLOUR = re.compile(r"\x1b\[([0-9;:]*)m")


def safe_text(text: str) -> str:
    """Return a text of several lines without terminal sequences, colours and invisible controls.

    A carriage return becomes a newline, since it must not overwrite the text before it in a longer message.
    """
    if _is_plain(text):
        return text
    return _CONTROL.sub(_plain, text.replace("\r\n", "\n").replace("\r", "\n"))


def one_line(text: str) -> str:
    """Return a text in one line, with one space between its words."""
    return " ".join(text.split())


def safe_name(text: str) -> str:
    """Return a text for the middle of a line: as `safe_text`, with spaces instead of newlines and tabs."""
    return text if text.isprintable() else one_line(safe_text(text))


def safe_tags(tags: Mapping[str, object] | None) -> dict[str, str]:
    """Return tags whose keys and values are safe names."""
    return {safe_name(str(key)): safe_name(str(value)) for key, value in (tags or {}).items()}


def safe_link(url: object) -> str:
    """Return the address of a page, which becomes a link; empty if a browser must not open it."""
    text = str(url or "")
    return text if text.startswith("https://") and text.isprintable() and " " not in text else ""


def safe_log_line(line: str) -> str:
    """Return a line of a log as a terminal would finally show it, with its colours.

    Text after a carriage return replaces the line, and text after a backspace replaces the character before it, so that
    a progress bar is in its last state. Colours end with their line.

    Args:
        line: The line without its newline.
    """
    if _is_plain(line):
        return line
    if "\x1b[" in line and _is_plain(_USUAL_COLOURS.sub("", line)):  # most lines with colours
        return line if line.rpartition("\x1b[")[2].startswith(("0m", "m")) else _closed(line)
    if "\r" in line:
        line = line.rstrip("\r").rpartition("\r")[2]
    kept = _CONTROL.sub(_with_colours, line)
    return _closed(_overwritten(kept) if "\b" in kept else kept)


def _is_plain(text: str) -> bool:
    """True if there is nothing to remove, as in most texts; so the cheapest check comes first."""
    return text.isprintable() or text.replace("\t", "").isprintable() or not _UNSAFE.search(text)


def _plain(found: re.Match[str]) -> str:
    return "\ufffd" if found["broken"] else ""


def _with_colours(found: re.Match[str]) -> str:
    if found["colours"] is not None:
        return found[0] if _are_colours(found["colours"]) else ""
    return "\b" if found[0] == "\b" else _plain(found)


@lru_cache(maxsize=256)
def _are_colours(parameters: str) -> bool:
    """True if SGR parameters set only colours and styles: `1;31`, `38;5;208`, `38:2::255:0:0`."""
    parts = parameters.split(";")
    while parts:
        part = parts.pop(0)
        if ":" in part:
            if part.partition(":")[0] not in ("4", "38", "48", "58"):
                return False
            continue
        number = int(part or 0)
        if number in _EXTENDED:
            length = {"5": 2, "2": 4}.get(parts[0] if parts else "")
            if length is None or len(parts) < length or any(":" in one for one in parts[:length]):
                return False
            del parts[:length]
        elif number not in _COLOURS | _ENDS:
            return False
    return True


def _overwritten(line: str) -> str:
    """Return the line after its backspaces. Each moves back by one character, which the next character replaces."""
    shown: list[str] = []
    at, colours = 0, ""
    for piece in re.findall(r"\x1b\[[0-9;:]*m|.", line, re.DOTALL):
        if piece == "\b":
            at = max(0, at - 1)
        elif piece[0] == "\x1b":
            colours += piece
        else:
            shown[at : at + 1] = [colours + piece]
            at, colours = at + 1, ""
    return "".join(shown) + colours


def _closed(line: str) -> str:
    """Return the line with its colours reset at its end, unless it ends them itself."""
    open_since_end = False
    for found in _ANY_COLOUR.finditer(line):
        open_since_end = not all(part.isdecimal() and int(part) in _ENDS for part in (found[1] or "0").split(";"))
    return line + _RESET if open_since_end else line
