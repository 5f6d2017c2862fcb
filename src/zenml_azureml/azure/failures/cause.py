"""The cause of a failed job, and the next steps that several causes share. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from zenml_azureml.azure.cli_hints import Address


@dataclass(frozen=True)
class Cause:
    """Cause of a failed job.

    Attributes:
        name: Name of the kind of cause, e.g. `out-of-memory`; its row in docs/failures.md.
        what: The event, as a clause: `the node ran out of memory`.
        hint: The next steps, as sentences.
        command: Returns the command of the last step for a workspace; None if there is none.
        names_error: True if the program's error names what is missing, so that `what` is incomplete without it.
    """

    name: str
    what: str
    hint: str
    command: Callable[[Address], str] | None = None
    names_error: bool = False

    def advice(self, address: Address | None) -> str:
        """Return the next steps, and the command on a line of its own.

        Args:
            address: The workspace; None if unknown.
        """
        if self.command is None or address is None:
            return self.hint
        return f"{self.hint}\n{self.command(address)}"


MORE_MEMORY = (
    "Request more memory (`ResourceSettings(memory='64GB')`), or set a larger `instance_type` (serverless) or `size` "
    "(a new compute). Or change the step to use less memory."
)
RUN_AGAIN = (
    "Run the pipeline again. With `@step(retry=StepRetryConfig(max_retries=2))`, ZenML retries the step automatically. "
    "To resume, the step must save its state outside the node."
)
