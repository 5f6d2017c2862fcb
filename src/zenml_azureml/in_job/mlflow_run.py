"""The variables of MLflow in the environment of a step, which fit either the job's own run or the user's server.

Azure ML sets them for its own run in the workspace. At another server the id of that run is unknown, and the token must
not be sent there. Standard library only.
"""

from __future__ import annotations

from collections.abc import MutableMapping
from urllib.parse import urlsplit

from zenml_azureml.contract.mlflow import INJECTED, TRACKING_TOKEN, TRACKING_URI, named_by, own_name, workspace_of


class InjectedRun:
    """What Azure ML set for MLflow, and what the user set.

    Args:
        environment: Of the step's process, as Azure ML has made it; changed by the methods.
    """

    def __init__(self, environment: MutableMapping[str, str]) -> None:
        self._environment = environment
        named = named_by(environment)
        self._users = {name: environment[own_name(name)] for name in named if own_name(name) in environment}
        self._azures = {
            name: environment[name]
            for name in INJECTED
            if name in environment
            # One that the user set is Azure's all the same if Azure has overwritten it.
            and (name not in named or self._users.get(name, environment[name]) != environment[name])
        }
        self._workspace = workspace_of(self._azures.get(TRACKING_URI, ""))
        if not self._workspace:
            self._azures.pop(TRACKING_URI, None)  # the image's
        self._cleared: set[str] = set()

    def begin(self) -> None:
        """Clear what Azure ML set if the environment leads to another server: the user's settings or the image do."""
        if TRACKING_URI in self._users:
            self._environment[TRACKING_URI] = self._users[TRACKING_URI]
        self.use(self._environment.get(TRACKING_URI))

    def use(self, uri: object) -> None:
        """Make the environment fit a tracking URI.

        At another server than the workspace, clear what Azure ML set, unless the step's code has changed it since, and
        set what the user's settings say. Back at the workspace, set it again.

        Args:
            uri: The URI or path; None or empty for MLflow's default, which changes nothing.
        """
        if uri is None or not str(uri):
            return
        if self.leads_to_workspace(str(uri)):
            self._environment.update({name: self._azures[name] for name in self._cleared})
            self._cleared.clear()
            return
        for name, value in self._azures.items():
            if self._environment.get(name) == value:
                del self._environment[name]
                self._cleared.add(name)
        for name, value in self._users.items():
            self._environment.setdefault(name, value)

    def leads_to_workspace(self, uri: str) -> bool:
        """True if a tracking URI leads to the workspace of the job."""
        return bool(self._workspace) and workspace_of(uri) == self._workspace

    def may_send(self, token: object, host: object) -> bool:
        """True unless a token is Azure ML's, and a host is not the workspace's.

        Args:
            token: The token of a request.
            host: URL of the server.
        """
        if not token or token != self._azures.get(TRACKING_TOKEN):
            return True
        ours = self._workspace.partition("/")[0]
        return bool(ours) and urlsplit(str(host)).netloc.lower() == ours
