"""A kind of refusal, and one that was recognised. Pure. Imports no `azure.*`."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from zenml_azureml.azure.cli_hints import Address
from zenml_azureml.azure.refusals.answers import Statement


@dataclass(frozen=True)
class Refusal:
    """A kind of refusal.

    Attributes:
        name: Its name; its row in docs/troubleshooting.md, and in docs/failures.md if a job can fail because of it.
        what: What it means, as a clause.
        words: Pattern of its codes and words, searched in `(code) message`.
        hint: The next steps, as sentences.
        details: Returns further sentences for the text of an answer; they come before the next steps.
        command: Returns the command of the last step for a workspace and the text of an answer.
        may_pass: True if a retry may help although no user changes anything.
        by_jobs: True if a job can fail because of it, so that it is searched in Azure ML's message about the failure.
        log_words: Pattern of the words that are specific enough for the log of a job; None if there are none.
        is_about_token: True if it depends on the token that was sent, so that another one may be accepted.
    """

    name: str
    what: str
    words: re.Pattern[str]
    hint: str
    details: Callable[[str], str] = lambda _text: ""
    command: Callable[[Address, str], str] | None = None
    may_pass: bool = False
    by_jobs: bool = False
    log_words: re.Pattern[str] | None = None
    is_about_token: bool = False

    def advice(self, text: str, address: Address | None) -> str:
        """Return the next steps, and the command on a line of its own.

        Args:
            text: All statements of the answer.
            address: The workspace; None if unknown.
        """
        hint = f"{self.details(text)} {self.hint}".strip()
        return f"{hint}\n{self.command(address, text)}" if self.command and address else hint


@dataclass(frozen=True)
class Found:
    """A refusal that was recognised in an answer.

    Attributes:
        refusal: Its kind.
        statement: The statement that it was recognised by.
        text: All statements of the answer.
    """

    refusal: Refusal
    statement: Statement
    text: str

    def advice(self, address: Address | None) -> str:
        """Return the next steps for a workspace; None if that is unknown."""
        return self.refusal.advice(self.text, address)
