"""Checks that need this package, and ZenML, in the image; then those of `bare`.

Standard library only, except that the check of the artifact store uses ZenML.
"""

from __future__ import annotations

import os
import threading
from importlib.metadata import version
from typing import Any, Final
from urllib.parse import urlsplit
from uuid import UUID

from zenml_azureml.contract.checks import ARTIFACT_STORE, FAILED, KEY_VAULT, OK, SECRETS, SERVER, SKIPPED
from zenml_azureml.contract.variables import STORE_URL, VAULT_AUDIENCE, VAULT_SECRET, is_rest
from zenml_azureml.in_job import fetch_secrets
from zenml_azureml.in_job.checks import bare
from zenml_azureml.in_job.watcher.over import NoAnswerError
from zenml_azureml.in_job.watcher.zenml_server import ZenMLServer

#: Seconds that the artifact store may take, with ZenML's retries.
_STORE_SECONDS = 180.0


def key_vault() -> bare.Result:
    """Fetch the secrets, as the preparation of a step does."""
    url = os.environ.get(VAULT_SECRET)
    if not url:
        return bare.Result(SKIPPED, "")
    fetch_secrets.prepare(os.environ)
    for name in (VAULT_SECRET, VAULT_AUDIENCE):  # not before: that they are left shows that it has failed
        os.environ.pop(name, None)
    return bare.Result(OK, f"{urlsplit(url).hostname} returns the secrets to the job's identity")


def server() -> bare.Result:
    """Check that the ZenML server answers, and accepts the job's token."""
    if not is_rest(os.environ) or VAULT_SECRET in os.environ:
        return bare.server()
    shown = os.environ[STORE_URL].rstrip("/")
    try:
        ZenMLServer(os.environ).get("current-user", {})
    except NoAnswerError as error:
        return bare.Result(FAILED, f"{shown}: {error}.")
    return bare.Result(OK, f"{shown} answers, and accepts the job's token")


def artifact_store() -> bare.Result:
    """Write, read and delete a file in the artifact store, on a thread of its own: it may hang."""
    wanted: str = bare.request().get("store", "")
    if not wanted:
        return bare.Result(SKIPPED, "The step operator is in no stack.")
    if VAULT_SECRET in os.environ and is_rest(os.environ):
        return bare.Result(SKIPPED, "The token for the ZenML server is in the key vault, which the job cannot read.")
    outcome: list[bare.Result] = []

    def work() -> None:
        try:
            outcome.append(_use_store(wanted))
        except Exception as error:  # noqa: BLE001 - each kind of store has errors of its own
            if type(error).__name__ == "CustomFlavorImportError":  # not in each version of ZenML
                reason = f"its flavor is in code that the image lacks; only steps download it. {bare.words(error)}"
                outcome.append(bare.Result(SKIPPED, reason))
                return
            outcome.append(bare.Result(FAILED, f"{type(error).__name__}: {bare.words(error)}"))

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(_STORE_SECONDS)
    return outcome[0] if outcome else bare.Result(FAILED, f"No answer within {_STORE_SECONDS:.0f} s.")


def _use_store(component_id: str) -> bare.Result:
    try:
        from zenml.client import Client
        from zenml.enums import StackComponentType
        from zenml.stack import StackComponent
    except ImportError as error:
        return bare.Result(SKIPPED, f"The image has no ZenML: {error}.")
    model = Client().get_stack_component(StackComponentType.ARTIFACT_STORE, UUID(component_id))
    store: Any = StackComponent.from_model(model)
    folder = os.path.join(store.path, "zenml_azureml", "checks")  # noqa: PTH118 - may be a URL
    path, text = os.path.join(folder, os.environ.get("AZUREML_RUN_ID", "job")), "written by a check"  # noqa: PTH118
    store.makedirs(folder)
    with store.open(path, "w") as file:
        file.write(text)
    with store.open(path, "r") as file:
        found = file.read()
    store.remove(path)
    if found != text:
        return bare.Result(FAILED, f"A file in {store.path} has other content than was written.")
    return bare.Result(OK, f"{store.path} can be written and read")


#: The checks that a step needs first, in this order.
_FIRST: Final = {
    KEY_VAULT: key_vault,
    SECRETS: bare.secrets,
    SERVER: server,
    ARTIFACT_STORE: artifact_store,
}

if __name__ == "__main__":
    bare.main(_FIRST, f" and zenml-azureml {version('zenml-azureml')}")
