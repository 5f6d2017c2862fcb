"""The end of a process whose ZenML server is unavailable: accounts of its steps, not tracebacks of the network.

When a step fails, ZenML asks its server for the run, outside of any step operator. If the server is unavailable, that
ends the process with an error of the network behind the error of the step, in several tracebacks.
"""

from __future__ import annotations

import sys
from types import TracebackType

from zenml_azureml.exceptions import AzureMLError
from zenml_azureml.run_store.server_errors import describe, is_unavailable


class UncaughtErrors:
    """The accounts that the process shows if it ends because ZenML's server is unavailable.

    Thread-safe: accounts are only added.
    """

    def __init__(self) -> None:
        self._accounts: dict[str, None] = {}
        self._installed = False

    def show(self, account: AzureMLError) -> None:
        """Show an account if an error of ZenML's server ends the process, and no traceback of that error.

        Args:
            account: What the server has not learned.
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
        """Return the last words of a process that an error has ended."""
        return "\n".join([f"ZenML's server is unavailable: {describe(error)}", *self._accounts])


#: Uncaught errors are the process's, not an operator's.
UNCAUGHT = UncaughtErrors()
