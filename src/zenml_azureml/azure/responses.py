"""What an answer is: an object, a page of a list, an error. The one place that checks it."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from azure.ai.ml.exceptions import JobParsingError
from azure.core.exceptions import AzureError, DecodeError, HttpResponseError

#: The most pages of one list that are read; jobs come ten on a page.
MOST_PAGES = 10_000

#: What reading an answer raises that is not what it should be: in this package, and in each part of the SDK its own.
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
    """An answer is not what this address answers with: something on the way may have answered in its place.

    It is made without its response: azure-core would take the message from there.
    """


def address_of(url: str) -> str:
    """Return a URL without its query, in which signatures are."""
    return url.partition("?")[0]


def object_of(body: object, url: str) -> dict[str, Any]:
    """Return an answer's body, which has to be a JSON object.

    Args:
        body: What was parsed.
        url: Where it is from.

    Raises:
        AnswerError: If it is none.
    """
    if not isinstance(body, dict):
        raise AnswerError(f"{address_of(url)} answered with {_kind(body)} instead of an object.")
    return body


def pages_of(get: Callable[[str], dict[str, Any]], url: str) -> Iterator[list[dict[str, Any]]]:
    """Return the pages of a list, which ends.

    Args:
        get: Gets the object at a URL.
        url: The first page.

    Raises:
        AnswerError: If a page holds no list of objects, if one leads to one before, or if there is no end of them.
    """
    following = StepController(url)
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


class StepController:
    """Sees to it that the pages of a list end.

    Args:
        url: The list.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._seen = {url}
        self._pages = 1

    def to(self, link: str | None) -> None:
        """Take in the link to the next page.

        Raises:
            AnswerError: If it leads back, or there have been too many.
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
    """The last answers that each thread has got."""

    def __init__(self) -> None:
        self.number = 0
        self.url = ""
        self.is_empty = False
        self.problem = ""
        self.problem_number = 0

    def take(self, method: str, url: str, status: int, body: bytes) -> None:
        """Take in an answer. What is checked is what the SDK does not check, in no time: how its body begins."""
        self.number += 1
        begin = body[:100].strip()
        self.url, self.is_empty = url, not begin
        if status not in (200, 201) or method not in ("GET", "PUT") or not begin:
            return
        if begin == b"{}":
            self.problem, self.problem_number = f"{address_of(url)} answered with an empty object.", self.number
        elif begin[:1] != b"{":
            with suppress(ValueError, RecursionError):  # the SDK says so where it is no JSON at all
                kind = _kind(json.loads(body))
                self.problem = f"{address_of(url)} answered with {kind} instead of an object."
                self.problem_number = self.number


class LastAnswer:
    """What is known of the answers since a moment, on the thread that asks.

    Args:
        answers: The answers.
    """

    def __init__(self, answers: Answers) -> None:
        self._answers = answers
        self._number = answers.number

    @property
    def url(self) -> str:
        """Where the last one is from; empty if there is none."""
        return self._answers.url if self._answers.number > self._number else ""

    @property
    def problem(self) -> str:
        """What is wrong with one of them, as a sentence; empty if nothing is known to be."""
        return self._answers.problem if self._answers.problem_number > self._number else ""

    def unreadable(self, how: str) -> str:
        """What is wrong with the last one, which could not be read, as a sentence."""
        what = "nothing" if self._answers.is_empty else how
        return self.problem or f"{address_of(self.url)} answered with {what}."


@contextmanager
def understood(last: LastAnswer) -> Iterator[None]:
    """Turn whatever reading an answer raises into an `AnswerError`.

    Args:
        last: What is known of the last answer when it ends. If there is none, what is raised is no answer's fault.

    Raises:
        AnswerError: In the place of such an error, or if an answer has a problem that nothing has noticed.
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
    """Code and message of an error body; empty where there is none (a missing compute has no body)."""
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
    """Code and message of the error that some messages are in JSON: that of a failed operation on a compute.

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
