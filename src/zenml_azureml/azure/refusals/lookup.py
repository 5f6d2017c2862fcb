"""Looks up the refusal in an answer, a message or a log. Pure. Imports no `azure.*`."""

from __future__ import annotations

from collections.abc import Callable

from zenml_azureml.azure.refusals.answers import Answer, Statement, said_in
from zenml_azureml.azure.refusals.refusal import Found, Refusal
from zenml_azureml.azure.refusals.table import PROXY, TABLE

#: Statuses of a web page after which a retry may help.
_PAGES_THAT_PASS = (408, 425, 429)


def _any(_refusal: Refusal) -> bool:
    return True


def recognised(answer: Answer, among: Callable[[Refusal], bool] = _any) -> Found | None:
    """Return the refusal in an answer; None if it is none of the table.

    Args:
        answer: The answer.
        among: Returns True for the refusals to look for.
    """
    for refusal in filter(among, TABLE):
        for statement in answer.statements:
            if refusal.words.search(str(statement)):
                return Found(refusal, statement, answer.text)
    if answer.is_page and 400 <= answer.status < 500 and answer.status not in _PAGES_THAT_PASS:
        return Found(PROXY, answer.statements[0] if answer.statements else Statement("", ""), answer.text)
    return None


def recognised_in_log(text: str) -> Found | None:
    """Return the refusal in the last lines of a program's log, by words that only Azure uses; None if there is none."""
    for refusal in TABLE:
        if refusal.log_words is not None and refusal.log_words.search(text):
            return Found(refusal, Statement("", text), text)
    return None


def recognised_in(text: str, among: Callable[[Refusal], bool] = _any) -> Found | None:
    """Return the refusal in a text that is no answer, such as a message about a compute; None if there is none.

    Args:
        text: The text.
        among: Returns True for the refusals to look for.
    """
    return recognised(said_in(text), among)
