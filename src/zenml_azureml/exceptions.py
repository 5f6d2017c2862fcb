"""The one error that users of a step operator see: what failed, Azure's words, what to do next."""

from __future__ import annotations

from zenml_azureml.safe_text import safe_text
from zenml_azureml.secrets.known_values import masked
from zenml_azureml.secrets.redaction import redacted_text


class AzureMLError(RuntimeError):
    """Something failed on the way to Azure ML or on it.

    ZenML's server stores an exception's message and builds the exception again from it, so one argument
    must be enough.

    Args:
        what: What failed, as a sentence.
        azure_message: Azure's own words.
        log_tail: The last lines of the job's log.
        log_source: Whose log it is, e.g. `node 1 rank 3`; empty where there is only one.
        studio_url: Where to look further.
        hint: What to do next, as a sentence.

    Attributes:
        what: As above.
        azure_message: As above.
        hint: As above.
    """

    def __init__(
        self,
        what: str,
        *,
        azure_message: str = "",
        log_tail: tuple[str, ...] = (),
        log_source: str = "",
        studio_url: str = "",
        hint: str = "",
    ) -> None:
        parts = [what]
        if azure_message:
            parts.append(f"Azure: {azure_message}")
        if log_tail:
            parts.append(
                "\n".join([f"The end of {f'the log of {log_source}' if log_source else 'its log'}:", *_indented(log_tail)])
            )
        if studio_url:
            parts.append(f"Studio: {studio_url}")
        if hint:
            parts.append(f"Next steps: {hint}")
        # The door to the client's terminal and to ZenML's server: names and Azure's words are not ours.
        super().__init__(_safe("\n".join(parts)))
        self.what = _safe(what)
        self.azure_message = _safe(azure_message)
        self.hint = _safe(hint)

    def with_history(self, history: str) -> AzureMLError:
        """The same error with an account of what was tried before; itself where that is nothing.

        Args:
            history: The account, in lines.
        """
        if not history:
            return self
        longer = AzureMLError(f"{self}\n{history}")
        longer.what, longer.azure_message, longer.hint = self.what, self.azure_message, self.hint
        return longer


class NoCapacityError(AzureMLError):
    """There are no machines for a job, or no quota for them: another place may have both."""

    @classmethod
    def of(cls, error: AzureMLError) -> NoCapacityError:
        """An error that turned out to be one, in the same words."""
        same = cls(str(error))
        same.what, same.azure_message, same.hint = error.what, error.azure_message, error.hint
        return same


def _safe(text: str) -> str:
    """The text without what a terminal would obey, and without secrets: values that are known, and shapes of some."""
    # Masked twice: a control may stand within a secret in the text, or belong to the secret.
    return redacted_text(masked(safe_text(masked(text))))


def _indented(lines: tuple[str, ...]) -> list[str]:
    return [f"  {line}" for line in lines]
