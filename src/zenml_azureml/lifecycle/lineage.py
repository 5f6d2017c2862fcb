"""What a step reads and writes on Azure, as metadata of the step. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit, urlunsplit

from zenml.metadata.metadata_types import Uri

from zenml_azureml.secrets.rule import is_reference
from zenml_azureml.specs.data import DataInput, DataOutput, asset_reference, without_query

if TYPE_CHECKING:
    from zenml_azureml.azure.data.assets import FoundAsset

#: The inputs and the outputs of the step's newest job, by their names.
INPUTS_KEY, OUTPUTS_KEY = "azureml_inputs", "azureml_outputs"


def inputs_as_metadata(
    requested: Iterable[DataInput], used: Iterable[DataInput], assets: Mapping[str, FoundAsset], job_url: str
) -> dict[str, Any]:
    """Return what a job reads, as metadata of its step; empty for no inputs.

    Args:
        requested: The inputs in the settings.
        used: The inputs of the job, in the same order.
        assets: The data assets among them, by the names of the inputs.
        job_url: The job's page in Studio; empty if unknown.
    """
    inputs: dict[str, Any] = {}
    links: dict[str, Any] = {}
    for wanted, one in zip(requested, used, strict=True):
        asset = assets.get(one.name)
        address = "" if asset is not None or is_reference(wanted.path) else one.path
        inputs[one.name] = {"path": without_query(wanted.path), **_facts(one, asset, address)}
        reference = asset_reference(one.path)
        if asset is not None and not (reference and reference.workspace):
            links |= _link("input", one.name, asset, job_url)
    return {INPUTS_KEY: inputs, **links} if inputs else {}


def outputs_as_metadata(
    outputs: Iterable[DataOutput], assets: Mapping[str, FoundAsset], job_url: str
) -> dict[str, Any]:
    """Return what a job writes, or has written, as metadata of its step; empty for no outputs.

    Args:
        outputs: The outputs of the job.
        assets: The data assets that they have become, by the names of the outputs; empty before the job's end.
        job_url: The job's page in Studio; empty if unknown.
    """
    found: dict[str, Any] = {}
    links: dict[str, Any] = {}
    for one in outputs:
        asset = assets.get(one.name)
        found[one.name] = {**_given(register_as=one.register_as), **_facts(one, asset, one.path or "")}
        if asset is not None:
            links |= _link("output", one.name, asset, job_url)
    return {OUTPUTS_KEY: found, **links} if found else {}


def studio_url_of(asset: FoundAsset, job_url: str) -> str:
    """Return the page of a data asset in Studio; empty if the job's page is unknown.

    Args:
        asset: The asset, in the job's workspace.
        job_url: The job's page in Studio.
    """
    parts = urlsplit(job_url)
    base, found, _ = parts.path.rpartition("/runs/")
    if not found:
        return ""
    # Guess: the address of the page, as Studio shows it in a browser.
    path = f"{base}/data/{quote(asset.name, safe='')}/{quote(asset.version, safe='')}/details"
    return urlunsplit(parts._replace(path=path))


def _facts(one: DataInput | DataOutput, asset: FoundAsset | None, address: str) -> dict[str, str]:
    """Return what is known of an input or an output; the address of its data asset, if it has one, is the better."""
    name, version, uri = (asset.name, asset.version, asset.uri or address) if asset else (None, None, address)
    return _given(asset=name, version=version, uri=without_query(uri) or None, type=one.type, mode=one.mode)


def _given(**values: str | None) -> dict[str, str]:
    return {key: value for key, value in values.items() if value is not None}


def _link(kind: str, name: str, asset: FoundAsset, job_url: str) -> dict[str, Any]:
    url = studio_url_of(asset, job_url)
    return {f"azureml_{kind}_{name}_studio_url": Uri(url)} if url else {}
