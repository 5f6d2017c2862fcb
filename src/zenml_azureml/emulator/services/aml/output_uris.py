"""Paths in datastores of what jobs have written: assets are registered with them, whatever form was sent.

Source: Microsoft, "Work with registered models in Azure Machine Learning" (`azureml://jobs/NAME/outputs/OUTPUT/paths/`
and `runs:/NAME/PATH` as paths of models).
"""

from __future__ import annotations

from zenml_azureml.emulator.http.responses import ServiceError
from zenml_azureml.emulator.services.aml.asset_paths import output_uri
from zenml_azureml.emulator.services.aml.datastore_uris import long_uri, parse_uri
from zenml_azureml.emulator.services.aml.output_references import ARTIFACTS, OutputReference, output_reference
from zenml_azureml.emulator.services.storage.files import job_folder
from zenml_azureml.emulator.state import Workspace


def stored_uri(uri: str, workspace: Workspace, *, group_word: str = "resourcegroups") -> str:
    """Return the URI of an asset as it is answered: the long form of a path in a datastore; others unchanged.

    Args:
        uri: As it was sent.
        workspace: The workspace of the asset.
        group_word: The spelling of its third part.

    Raises:
        ServiceError: 404 or 400, if it names an output of a job that does not exist.
    """
    found = parse_uri(uri) or _of_output(uri, workspace)
    return long_uri(workspace, *found, group_word=group_word) if found else uri


def no_artifacts(reference: OutputReference) -> ServiceError:
    """Return the refusal of a path in an output of a job that leads to no file.

    Args:
        reference: The path.
    """
    if reference.output == "default":
        return _no_output(reference)
    # Quoted in public reports (Azure/azure-sdk-for-python#33978). Guess: the name of the output for all of it.
    path = reference.path or reference.output
    return _invalid("NoMatchingArtifactsFoundFromJob", f"No artifacts matching {path} found from Job.")


def _no_output(reference: OutputReference) -> ServiceError:
    # Quoted in a public report, of `default` in a job that had no artifacts.
    return _invalid("NoMatchingOutputFoundFromJob", f"Job output {reference.output} not found.")


def _invalid(code: str, message: str) -> ServiceError:
    # Guess: the status, which another report quotes of the service that the front end asks (azure-docs#103778).
    detail = {"code": code, "message": message, "details": [], "additionalInfo": []}
    return ServiceError(400, "UserError", "The request is invalid.", details=[detail])


def _of_output(uri: str, workspace: Workspace) -> tuple[str, str] | None:
    reference = output_reference(uri)
    if reference is None:
        return None
    job = workspace.find_job(reference.job)
    if job is None:
        # Guess: the answer for a GET of a job that does not exist.
        raise ServiceError(404, "UserError", f"Job {reference.job} not found.", inner=["NotFoundError"])
    sent = job.properties["outputs"].get(reference.output)
    place = None
    if sent is not None:
        place = parse_uri(output_uri(workspace, job, reference.output))
    if place is None and reference.output in ARTIFACTS:
        place = "workspaceartifactstore", job_folder(job.name)
    elif place is None and sent is not None:
        # Source: Microsoft, "Read and write data in jobs": the default path of an output.
        place = workspace.default_datastore, f"azureml/{job.name}/{reference.output}"
    if place is None:
        raise _no_output(reference)
    return place[0], "/".join(part for part in (place[1].strip("/"), reference.path) if part)
