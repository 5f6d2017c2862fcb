"""The errors that users of a step operator see.

AzureMLError
├── AzureMLSettingsError        a setting is invalid
├── AuthenticationError         no sign-in to Azure, or Azure does not accept it
├── NoCapacityError             no machines or no quota for a job
├── JobFailedError              a job failed
│   └── CostLimitError          because it reached a cost limit, or was not submitted because of one
├── JobCancelledError           a job was cancelled
│   └── QueueTimeoutError       because it was queued for longer than `queue_timeout_minutes`
└── ServerUnavailableError      ZenML's server was unavailable (in `run_store/server_retries.py`)
"""

from __future__ import annotations

import copy
from typing import TypeVar

from zenml_azureml.safe_text import safe_text
from zenml_azureml.secrets.known_values import masked
from zenml_azureml.secrets.redaction import redacted_text

ErrorT = TypeVar("ErrorT", bound="AzureMLError")


class AzureMLError(RuntimeError):
    """An operation on Azure ML failed.

    ZenML's server stores an exception's message and builds the exception again from it, so one argument is enough.

    Args:
        summary: What failed and why, as a sentence.
        azure_message: Azure's message.
        log_tail: The last lines of the job's log.
        log_source: The process that wrote this log, e.g. `node 1 rank 3`; empty if there is only one.
        studio_url: The job's page in Azure ML Studio.
        hint: Next steps, as sentences.
        log_shown: True if the user has seen the log already: then the text does not repeat it, but the report does.

    Attributes:
        report: The text with the end of the log, for ZenML's server.
        summary: As above.
        azure_message: As above.
        log_tail: As above.
        log_source: As above.
        studio_url: As above.
        hint: As above.
    """

    def __init__(
        self,
        summary: str,
        *,
        azure_message: str = "",
        log_tail: tuple[str, ...] = (),
        log_source: str = "",
        studio_url: str = "",
        hint: str = "",
        log_shown: bool = False,
    ) -> None:
        before = [summary, *([f"Azure: {azure_message}"] if azure_message else [])]
        log = [f"Log of {log_source}:" if log_source else "Log:", *_indented(log_tail)] if log_tail else []
        after = [f"Studio: {studio_url}"] if studio_url else []
        after += [f"Next steps: {hint}"] if hint else []
        # The door to the client's terminal and to ZenML's server: names and Azure's messages come from elsewhere.
        super().__init__(_safe("\n".join([*before, *([] if log_shown else log), *after])))
        self.report = _safe("\n".join([*before, *log, *after]))
        self.summary = _safe(summary)
        self.azure_message = _safe(azure_message)
        self.log_tail = tuple(_safe(line) for line in log_tail)
        self.log_source = _safe(log_source)
        self.studio_url = _safe(studio_url)
        self.hint = _safe(hint)

    def with_history(self: ErrorT, history: str) -> ErrorT:
        """Return the same error with an account of the attempts before it; itself if there were none.

        Args:
            history: The account, in lines.
        """
        if not history:
            return self
        longer = copy.copy(self)
        longer.__cause__ = self.__cause__  # which a copy lacks: it shows if a job may exist all the same
        longer.args = (_safe(f"{self}\n{history}"),)
        longer.report = _safe(f"{self.report}\n{history}")
        return longer

    def as_kind(self, kind: type[ErrorT]) -> ErrorT:
        """Return the same error as one of another class.

        Args:
            kind: The class. Its own attributes have their defaults.
        """
        error = kind("")
        error.__dict__.update(self.__dict__)
        error.args = self.args
        return error


class AzureMLSettingsError(AzureMLError):
    """A setting is invalid; the message shows what to write instead.

    It is no `ValueError`: ZenML replaces pydantic's errors by a message without the reason.
    """


class AuthenticationError(AzureMLError):
    """There is no sign-in to Azure, or Azure does not accept it."""


class NoCapacityError(AzureMLError):
    """Azure has no machines for a job, or the subscription has no quota for them; a fallback may have both."""


class JobFailedError(AzureMLError):
    """A job failed.

    Args:
        summary: As of `AzureMLError`, like the rest.
        azure_message: See there.
        log_tail: See there.
        log_source: See there.
        studio_url: See there.
        hint: See there.
        log_shown: See there.
        job_name: Name of the Azure ML job.
        cause: The kind of cause, a row of docs/failures.md such as `out-of-memory`; empty if it is unknown.

    Attributes:
        job_name: As above.
        cause: As above.
    """

    def __init__(
        self,
        summary: str,
        *,
        azure_message: str = "",
        log_tail: tuple[str, ...] = (),
        log_source: str = "",
        studio_url: str = "",
        hint: str = "",
        log_shown: bool = False,
        job_name: str = "",
        cause: str = "",
    ) -> None:
        super().__init__(
            summary,
            azure_message=azure_message,
            log_tail=log_tail,
            log_source=log_source,
            studio_url=studio_url,
            hint=hint,
            log_shown=log_shown,
        )
        self.job_name = job_name
        self.cause = cause


class CostLimitError(JobFailedError):
    """A cost limit was reached: Azure ended the job, or the operator did not submit it.

    Its `cause` is `cost-limit`. If no job was submitted, its `job_name` is empty.
    """


class JobCancelledError(AzureMLError):
    """A job was cancelled: by a user, by Azure, or by the operator."""


class QueueTimeoutError(JobCancelledError):
    """A job was queued for longer than `queue_timeout_minutes`, so the operator cancelled it."""


def _safe(text: str) -> str:
    """The text without what a terminal would obey, and without secrets: values that are known, and shapes of some."""
    # Masked twice: a control may stand within a secret in the text, or belong to the secret.
    return redacted_text(masked(safe_text(masked(text))))


def _indented(lines: tuple[str, ...]) -> list[str]:
    return [f"  {line}" for line in lines]
