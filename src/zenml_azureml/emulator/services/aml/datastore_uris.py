"""URIs of paths in datastores: pure."""

from __future__ import annotations

import re

from zenml_azureml.emulator.state import Workspace

_URI = re.compile(
    r"azureml://(?:subscriptions/(?P<subscription>[^/]+)/resourcegroups/(?P<group>[^/]+)/"
    r"(?:providers/Microsoft\.MachineLearningServices/)?workspaces/(?P<workspace>[^/]+)/)?"
    r"datastores/(?P<datastore>[^/]+)/paths(?:/(?P<path>.*))?",
    re.IGNORECASE | re.DOTALL,
)
_EXPRESSION = re.compile(r"\$\{\{\s*(default_datastore|name|output_name)\s*\}\}")


def parse_uri(uri: str) -> tuple[str, str] | None:
    """Return the datastore and the path in a URI, in its short or its long form; None if it is no such URI.

    Args:
        uri: E.g. `azureml://datastores/workspaceblobstore/paths/folder/file`.
    """
    found = _URI.fullmatch(uri)
    return (found["datastore"], found["path"] or "") if found else None


def workspace_in(uri: str) -> tuple[str, str, str] | None:
    """Return subscription, resource group and workspace in the long form of a URI; None in the short form."""
    found = _URI.fullmatch(uri)
    if not found or found["workspace"] is None:
        return None
    return found["subscription"], found["group"], found["workspace"]


def evaluated(uri: str, *, datastore: str, job: str, output: str) -> str:
    """Return the URI of an output with the expressions replaced that the service evaluates.

    Source: Microsoft, "Expressions in Azure Machine Learning SDK and CLI v2" (server expressions).

    Args:
        uri: As it was sent, e.g. `azureml://datastores/${{default_datastore}}/paths/${{name}}/${{output_name}}`.
        datastore: Name of the default datastore: of the pipeline, or of the workspace.
        job: Name of the job; in a pipeline, that of the node's job.
        output: Name of the output.
    """
    values = {"default_datastore": datastore, "name": job, "output_name": output}
    return _EXPRESSION.sub(lambda found: values[found[1]], uri)


def short_uri(datastore: str, path: str) -> str:
    """Return the short form of a URI."""
    return f"azureml://datastores/{datastore}/paths/{path}"


def long_uri(workspace: Workspace, datastore: str, path: str, *, group_word: str = "resourcegroups") -> str:
    """Return the long form of a URI.

    Args:
        workspace: The workspace of the datastore.
        datastore: Its name.
        path: The path in it.
        group_word: The spelling of its third part: models have another one than data (recorded).
    """
    return (
        f"azureml://subscriptions/{workspace.subscription_id}/{group_word}/{workspace.resource_group}"
        f"/workspaces/{workspace.name}/datastores/{datastore}/paths/{path}"
    )
