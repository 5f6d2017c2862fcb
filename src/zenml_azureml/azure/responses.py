"""Checks of Azure's answers: objects, pages of lists, errors."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from azure.ai.ml.exceptions import JobParsingError
from azure.core.exceptions import AzureError, DecodeError, HttpResponseError

#: Largest number of pages of one list that are read; a page has ten jobs.
MOST_PAGES = 10_000

#: Errors of reading a malformed answer, in this package and in the SDK.
UNREADABLE = (
    ArithmeticError,
    AttributeError,
    LookupError,
    OSError,
    RecursionError,
    TypeError,
    ValueError,
)


class AnswerError(DecodeError):
    """A malformed answer: a proxy may have answered instead of Azure.

    It is created without its response: azure-core would take the message from there.
    """


def address_of(url: str) -> str:
    """Return a URL without its query, which may contain signatures."""
    return url.partition("?")[0]


def object_of(body: object, url: str) -> dict[str, Any]:
    """Check that an answer's body is a JSON object, and return it.

    Args:
        body: The parsed body.
        url: The address of the request.

    Raises:
        AnswerError: If it is not an object.
    """
    if not isinstance(body, dict):
        raise AnswerError(f"{address_of(url)} answered with {_kind(body)} instead of an object.")
    return body


def pages_of(get: Callable[[str], dict[str, Any]], url: str) -> Iterator[list[dict[str, Any]]]:
    """Yield the pages of a list, which is finite.

    Args:
        get: Gets the object at a URL.
        url: The first page.

    Raises:
        AnswerError: If a page is no list of objects, if it links to an earlier one, or if there are too many pages.
    """
    following = PageGuard(url)
    while url:
        page = get(url)
        found = page.get("value")
        items = [] if found is None else found
        if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
            raise AnswerError(f"{address_of(url)} answered with {_kind(items)} instead of a list of objects.")
        yield items
        link = page.get("nextLink")
        if link is not None and not isinstance(link, str):
            raise AnswerError(f"{address_of(url)} names {_kind(link)} as its next page.")
        url = link or ""
        following.to(url)


class PageGuard:
    """Makes sure that the pages of a list end.

    Args:
        url: The list.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._seen = {url}
        self._pages = 1

    def to(self, link: str | None) -> None:
        """Check the link to the next page.

        Raises:
            AnswerError: If it leads to an earlier page, or there have been too many.
        """
        if not link:
            return
        if link in self._seen:
            raise AnswerError(f"The list {address_of(self._url)} has no end: a page leads to one before it.")
        if self._pages >= MOST_PAGES:
            raise AnswerError(f"The list {address_of(self._url)} has no end: it has more than {MOST_PAGES} pages.")
        self._seen.add(link)
        self._pages += 1


class Answers(threading.local):
    """The last answers that each thread has received."""

    def __init__(self) -> None:
        self.number = 0
        self.url = ""
        self.is_empty = False
        self.problem = ""
        self.problem_number = 0

    def take(self, method: str, url: str, status: int, body: bytes) -> None:
        """Note an answer, and check the start of its body, which is fast and which the SDK does not do."""
        self.number += 1
        begin = body[:100].strip()
        self.url, self.is_empty = url, not begin
        if status not in (200, 201) or method not in ("GET", "PUT") or not begin:
            return
        if begin == b"{}":
            self.problem, self.problem_number = f"{address_of(url)} answered with an empty object.", self.number
        elif begin[:1] != b"{":
            with suppress(ValueError, RecursionError):  # the SDK reports a body that is not JSON
                kind = _kind(json.loads(body))
                self.problem = f"{address_of(url)} answered with {kind} instead of an object."
                self.problem_number = self.number


class LastAnswer:
    """The answers since the creation of this object, on the calling thread.

    Args:
        answers: The answers.
    """

    def __init__(self, answers: Answers) -> None:
        self._answers = answers
        self._number = answers.number

    @property
    def url(self) -> str:
        """Address of the last one; empty if there is none."""
        return self._answers.url if self._answers.number > self._number else ""

    @property
    def problem(self) -> str:
        """Problem of one of them, as a sentence; empty if none is known."""
        return self._answers.problem if self._answers.problem_number > self._number else ""

    def unreadable(self, how: str) -> str:
        """Return the problem of the last one, which could not be read, as a sentence."""
        what = "nothing" if self._answers.is_empty else how
        return self.problem or f"{address_of(self.url)} answered with {what}."


@contextmanager
def understood(last: LastAnswer) -> Iterator[None]:
    """Convert errors of reading an answer to an `AnswerError`.

    Args:
        last: The record of the last answer. If there is none, errors pass unchanged.

    Raises:
        AnswerError: Instead of such an error, or if an answer has a problem that raised no error.
    """
    try:
        yield
    except AzureError as error:
        if not (last.problem or isinstance(error, (DecodeError, JobParsingError))):
            raise
        if isinstance(error, AnswerError) and not last.problem:
            raise
        words = f"something that cannot be read ({_short(str(error.message))})"
        raise AnswerError(last.unreadable(words)) from error
    except UNREADABLE as error:
        if not last.url:
            raise
        words = f"something that cannot be read ({type(error).__name__}: {_short(str(error))})"
        raise AnswerError(last.unreadable(words)) from error
    if last.problem:
        raise AnswerError(last.problem)


def error_in(error: HttpResponseError) -> tuple[str, str]:
    """Return code and message of an error body; empty if there is none (a missing compute has no body)."""
    try:
        body = json.loads(error.response.text()) if error.response is not None else {}
    except (*UNREADABLE, AzureError):
        body = {}
    inner = body.get("error") if isinstance(body, dict) else None
    if isinstance(inner, dict):
        code, message = str(inner.get("code") or ""), str(inner.get("message") or "").strip()
        return _cause_in(message) or (code, message)
    return str(getattr(error.error, "code", "") or ""), ""


def _cause_in(message: str) -> tuple[str, str] | None:
    """Return code and message of an error that is nested as JSON in a message, as for a failed operation on a compute.

    Quoted by users of two clients (microsoft/vscode-tools-for-ai issue 2096).
    """
    try:
        cause = json.loads(message).get("error")
    except (ValueError, AttributeError, RecursionError):
        return None
    return (str(cause.get("code") or ""), str(cause.get("message") or "")) if isinstance(cause, dict) else None


def _kind(value: object) -> str:
    if value is None:
        return "nothing"
    kinds: dict[type, str] = {list: "a list", str: "a text", bool: "a truth value", dict: "an object"}
    return kinds.get(type(value), "a number")


def _short(text: str) -> str:
    return text if len(text) <= 200 else f"{text[:200]} ..."
