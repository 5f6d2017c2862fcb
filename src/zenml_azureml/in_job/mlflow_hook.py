"""The hook on MLflow in the jobs of function steps. `import zenml` calls it there, before the user's code runs.

It clears what Azure ML set for its own run when the step logs to another server, and withholds its token from that. It
changes two functions and a class of MLflow, in the modules that define them. tests/mlflow fails if they move.

Outside a job of Azure ML it does nothing. So this module imports the rest only there.
"""

from __future__ import annotations

import os
import sys
from functools import wraps
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from types import ModuleType

    from zenml_azureml.in_job.mlflow_run import InjectedRun

#: Where MLflow defines `set_tracking_uri` and `get_tracking_uri`, since 1.x.
_URIS: Final = "mlflow.tracking._tracking_service.utils"
#: Where MLflow defines `MlflowHostCreds`, since 1.x: the host of a request, and the token for it.
_REQUESTS: Final = "mlflow.utils.rest_utils"

_NO_PLUGIN: Final = (
    "MLflow cannot log to this job's page in Studio, because the image has no azureml-mlflow. To install it: "
    "DockerSettings(requirements=['azureml-mlflow'])."
)


def install() -> None:
    """Watch for MLflow, in a job of Azure ML. Never raises: it must not break `import zenml`."""
    if not os.environ.get("AZUREML_RUN_ID"):
        return
    try:
        from zenml_azureml.in_job.mlflow_run import InjectedRun
        from zenml_azureml.post_import import after_import

        run = InjectedRun(os.environ)
        run.begin()
        hook = _Hook(run)
        after_import(_URIS, hook.change_uris)
        after_import(_REQUESTS, hook.change_credentials)
    except Exception as error:  # noqa: BLE001 - see above
        _say(f"MLflow keeps the variables that Azure ML has set: {error!r}.")


class _Hook:
    """The changes of MLflow's modules.

    Args:
        run: The variables.
    """

    def __init__(self, run: InjectedRun) -> None:
        self._run = run
        self._said = False

    def change_uris(self, module: ModuleType) -> None:
        """Change the functions that set and return the tracking URI."""
        try:
            setting, getting = module.set_tracking_uri, module.get_tracking_uri
        except AttributeError as error:
            self._say_unknown(error)
            return

        @wraps(setting)
        def set_tracking_uri(uri: Any) -> None:
            self._run.use(uri)
            setting(uri)

        @wraps(getting)
        def get_tracking_uri() -> Any:
            uri = getting()
            self._run.use(uri)
            self._check_plugin(uri)
            return uri

        vars(module).update(set_tracking_uri=set_tracking_uri, get_tracking_uri=get_tracking_uri)

    def change_credentials(self, module: ModuleType) -> None:
        """Withhold Azure ML's token from credentials for other hosts."""
        try:
            credentials = module.MlflowHostCreds
        except AttributeError as error:
            self._say_unknown(error)
            return
        real = credentials.__init__

        @wraps(real)
        def init(this: Any, *args: Any, **kwargs: Any) -> None:
            real(this, *args, **kwargs)
            if not self._run.may_send(this.token, this.host):
                this.token = None

        credentials.__init__ = init

    def _check_plugin(self, uri: Any) -> None:
        """Say once what to install if MLflow is about to log to the workspace and cannot."""
        if self._said or not str(uri).startswith("azureml:"):
            return
        from importlib.metadata import entry_points

        self._said = True
        if not any(one.name == "azureml" for one in entry_points(group="mlflow.tracking_store")):
            _say(_NO_PLUGIN)

    def _say_unknown(self, error: AttributeError) -> None:
        _say(f"This version of MLflow is unknown, and keeps the variables that Azure ML has set: {error}.")


def _say(words: str) -> None:
    print(f"zenml-azureml: {words}", file=sys.stderr, flush=True)  # noqa: T201 - the job's log
