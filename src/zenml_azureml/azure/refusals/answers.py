"""The statements in an answer that refuses a request, whatever its form. Pure. Imports no `azure.*`.

Azure's services nest their errors in several ways: `error.details`, `innererror`, `additionalInfo`, JSON as text in a
message, XML from storage, plain text from gateways, web pages from proxies. The cause may stand at any of these levels.
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass

#: Limits on what is read of an answer, which may be hostile.
_LONGEST_BODY = 64 * 1024
_LONGEST_PLAIN = 500
_DEEPEST = 20
_MOST_STATEMENTS = 100

_CODE_KEYS = ("code", "errorcode", "error_code", "error")
_MESSAGE_KEYS = ("message", "errormessage", "error_description", "statusmessage")

_XML_CODE = re.compile(r"<Code>\s*([^<]{1,200}?)\s*</Code>", re.IGNORECASE)
_XML_MESSAGE = re.compile(r"<Message>\s*(.*?)\s*(?:\n|</Message>)", re.IGNORECASE | re.DOTALL)
_INVISIBLE_PART = re.compile(r"<(script|style|head)\b.*?</\1\s*>|<!--.*?-->", re.IGNORECASE | re.DOTALL)
_TITLE = re.compile(r"<title[^>]*>(.*?)</title>", re.IGNORECASE | re.DOTALL)
_TAG = re.compile(r"<[^>]{0,2000}>")
_PAGE = re.compile(r"\s*(?:<!doctype html|<html\b)", re.IGNORECASE)


@dataclass(frozen=True)
class Statement:
    """One statement of an answer.

    Attributes:
        code: Its code; empty if it has none.
        message: Its message; empty if it has none.
    """

    code: str
    message: str

    def __str__(self) -> str:
        return f"({self.code}) {self.message}".strip() if self.code else self.message


@dataclass(frozen=True)
class Answer:
    """An answer that refuses a request.

    Attributes:
        status: Its HTTP status; 0 if unknown.
        statements: Its statements, the outermost first.
        is_page: True if it is a web page, which Azure's interfaces do not send.
        is_structured: True if it is JSON or XML, as Azure's services write it.
    """

    status: int
    statements: tuple[Statement, ...]
    is_page: bool = False
    is_structured: bool = True

    @property
    def text(self) -> str:
        """All statements, one a line."""
        return "\n".join(map(str, self.statements))


def read_answer(status: int, body: str, *, code: str = "", content_type: str = "") -> Answer:
    """Read the statements of an answer.

    Args:
        status: Its HTTP status.
        body: Its body.
        code: A code in its headers; empty if there is none.
        content_type: Its content type; empty if unknown.
    """
    body = body[:_LONGEST_BODY].lstrip("\ufeff")
    is_page = content_type.lower().startswith("text/html") or _PAGE.match(body) is not None
    parsed = None if is_page else _parsed(body)
    if parsed is not None:
        return Answer(status, _limited(_own(code), _in_json(parsed, _DEEPEST)))
    xml_code, xml_message = _XML_CODE.search(body), _XML_MESSAGE.search(body)
    if not is_page and (xml_code or xml_message):
        message = html.unescape(_plain(xml_message[1])) if xml_message else ""
        return Answer(status, (Statement(xml_code[1] if xml_code else code, message),))
    words = _words_of_page(body) if is_page else _plain(body)
    return Answer(status, _limited(_own(code), iter([Statement("", words)] if words else [])), is_page, False)


def said_in_json(value: object) -> Answer:
    """Return the statements of a part of an answer, which is JSON."""
    return Answer(0, _limited((), _in_json(value, _DEEPEST)))


def said_in(text: str) -> Answer:
    """Return a text that is no answer, such as the failure of a job, as one: with the JSON in it."""
    text = text[:_LONGEST_BODY]
    return Answer(0, _limited((Statement("", text),), _in_text(text, _DEEPEST)), is_structured=False)


def _own(code: str) -> tuple[Statement, ...]:
    return (Statement(code, ""),) if code else ()


def _limited(first: tuple[Statement, ...], rest: Iterator[Statement]) -> tuple[Statement, ...]:
    found = dict.fromkeys(first)
    for statement in rest:
        if len(found) >= _MOST_STATEMENTS:
            break
        found[statement] = None
    return tuple(found)


def _parsed(text: str) -> dict[str, object] | list[object] | None:
    if text.lstrip()[:1] not in ("{", "["):
        return None
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, (dict, list)) else None


def _in_json(value: object, depth: int) -> Iterator[Statement]:
    """Yield the statements of an object: its own first, then those in it."""
    if depth <= 0:
        return
    if isinstance(value, str):
        yield from _in_text(value, depth - 1)
    elif isinstance(value, list):
        for item in value:
            yield from _in_json(item, depth - 1)
    elif isinstance(value, dict):
        named = {str(key).lower(): item for key, item in value.items()}
        code = _first_text(named, _CODE_KEYS)
        if not code and "info" in named:  # an entry of `additionalInfo`, e.g. `PolicyViolation`
            code = _first_text(named, ("type",))
        message = _first_text(named, _MESSAGE_KEYS)
        if code or message:
            yield Statement(code, message)
        for key, item in value.items():
            if isinstance(item, str) and _is_further(str(key).lower(), item):
                yield Statement(code, f"{key}: {item}")
            yield from _in_json(item, depth - 1)


def _is_further(key: str, text: str) -> bool:
    """Return True if a text is a sentence under another name than `message`, or the name of a policy."""
    return key not in (*_CODE_KEYS, *_MESSAGE_KEYS) and (" " in text.strip() or key.startswith("policy"))


def _in_text(text: str, depth: int) -> Iterator[Statement]:
    """Yield the statements of the JSON in a text."""
    start = text.find("{")
    if depth <= 0 or start < 0:
        return
    try:
        value, _ = json.JSONDecoder().raw_decode(text[start:])
    except (ValueError, RecursionError):
        return
    yield from _in_json(value, depth)


def _first_text(named: dict[str, object], keys: tuple[str, ...]) -> str:
    return next((item.strip() for item in map(named.get, keys) if isinstance(item, str) and item.strip()), "")


def _plain(text: str) -> str:
    return " ".join(text.split())[:_LONGEST_PLAIN]


def _words_of_page(page: str) -> str:
    title = _TITLE.search(page)
    visible = _TAG.sub(" ", _INVISIBLE_PART.sub(" ", page))
    return _plain(html.unescape(f"{title[1] if title else ''} {visible}"))
