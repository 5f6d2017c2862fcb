"""Reports of steps in place of a network traceback, if a process ends because ZenML's server is unavailable.

When a step fails, ZenML requests the run from its server, outside of any step operator. If the server is unavailable,
that ends the process with a network error behind the error of the step, in several tracebacks.
"""

from __future__ import annotations

import sys
from types import TracebackType

from zenml_azureml.exceptions import AzureMLError
from zenml_azureml.run_store.server_errors import describe, is_unavailable


class UncaughtErrors:
    """The reports that the process shows if it ends because ZenML's server is unavailable.

    Thread-safe: reports are only added.
    """

    def __init__(self) -> None:
        self._accounts: dict[str, None] = {}
        self._installed = False

    def show(self, account: AzureMLError) -> None:
        """Show a report instead of a traceback if an unavailable server ends the process.

        Args:
            account: The error that the server does not know.
        """
        self._accounts[str(account)] = None
        if not self._installed:
            self._installed = True
            previous = sys.excepthook

            def hook(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
                if is_unavailable(error):
                    print(self.text(error), file=sys.stderr, flush=True)  # noqa: T201 - as Python prints a traceback
                else:
                    previous(kind, error, traceback)

            sys.excepthook = hook

    def text(self, error: BaseException) -> str:
        """Return the last output of a process that an error has ended."""
        return "\n".join([f"ZenML's server is unavailable: {describe(error)}", *self._accounts])


#: One object per process, since uncaught errors belong to the process and not to an operator.
UNCAUGHT = UncaughtErrors()
