"""The data of a job, looked up and checked before anything is created for it."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, replace

from zenml_azureml.azure.connection import WorkspaceConnection
from zenml_azureml.azure.data.assets import FoundAsset, find_asset
from zenml_azureml.azure.data.datastores import Access, FoundDatastore, check_identity, find_datastore
from zenml_azureml.specs.compute import ComputeSpec
from zenml_azureml.specs.data import AssetReference, DataInput, asset_reference, datastore_of
from zenml_azureml.specs.job import JobOptions


@dataclass(frozen=True)
class FoundData:
    """The data of a job.

    Attributes:
        options: Options of the job, in which each data asset has a version and a type.
        assets: The data assets among its inputs, by the names of the inputs.
    """

    options: JobOptions
    assets: Mapping[str, FoundAsset]


class DataLookup:
    """Look-ups in one workspace.

    Thread-safe: one lock guards the datastores and the checks that have passed, each of which is one request or more.

    Args:
        connection: The workspace.
    """

    def __init__(self, connection: WorkspaceConnection) -> None:
        self._connection = connection
        self._lock = threading.Lock()
        self._datastores: dict[str, FoundDatastore] = {}
        self._passed: set[tuple[object, ...]] = set()

    def asset(self, reference: AssetReference, where: str) -> FoundAsset:
        """Find a version of a data asset. See `assets.find_asset`."""
        return find_asset(self._connection, reference, where)

    def find(
        self,
        options: JobOptions,
        compute: ComputeSpec,
        known: Mapping[AssetReference, FoundAsset],
        versions: Mapping[AssetReference, str],
    ) -> FoundData:
        """Find the data of a job, and check that the job can use it.

        It costs one request for each data asset that is not known. Each datastore costs one request in this process,
        and one without credentials up to three more for each compute.

        Args:
            options: Options of the job.
            compute: The compute of the job.
            known: Data assets that the caller has found before.
            versions: Versions of other data assets with a label, as far as they are known.

        Raises:
            AzureMLError: If data does not exist, or the job may not use it.
            AzureError: If Azure cannot be reached.
        """
        assets: dict[str, FoundAsset] = {}
        found = dict(known)
        for one in options.inputs:
            reference = asset_reference(one.path)
            if reference is None:
                continue
            if reference not in found:
                wanted = replace(reference, version=versions.get(reference, reference.version))
                found[reference] = find_asset(self._connection, wanted, f"inputs['{one.name}']")
            assets[one.name] = found[reference]
        inputs = tuple(pinned(one, assets[one.name]) if one.name in assets else one for one in options.inputs)
        for access in _accesses(options, assets, self._connection.address.name):
            self._check(access, compute, options)
        return FoundData(replace(options, inputs=inputs), assets)

    def _check(self, access: Access, compute: ComputeSpec, options: JobOptions) -> None:
        key = (access.datastore, access.writes, compute, options.identity)
        with self._lock:
            if key in self._passed:
                return
            datastore = self._datastores.get(access.datastore)
        datastore = datastore or find_datastore(self._connection, access)
        check_identity(self._connection, datastore, access, compute, options.identity)
        with self._lock:
            self._datastores[access.datastore] = datastore
            self._passed.add(key)


def pinned(one: DataInput, asset: FoundAsset) -> DataInput:
    """Return an input with the version and the type of its data asset.

    Args:
        one: The input.
        asset: The version of the asset that it names.
    """
    reference = asset_reference(one.path)
    has_label = reference is not None and reference.version is None
    path = f"azureml:{asset.name}:{asset.version}" if has_label else one.path
    return replace(one, path=path, type=one.type or asset.type or None)


def _accesses(options: JobOptions, assets: Mapping[str, FoundAsset], workspace: str) -> list[Access]:
    """Return the accesses of a job to datastores of its workspace, each datastore once for reading and for writing."""
    wanted = [
        (f"inputs['{one.name}']", assets[one.name].uri if one.name in assets else one.path, one.mode == "rw_mount")
        for one in options.inputs
    ]
    wanted += [(f"outputs['{one.name}']", one.path or "", True) for one in options.outputs]
    found: dict[tuple[str, bool], Access] = {}
    for where, path, writes in wanted:
        home, name = datastore_of(path) or ("", "") if path else ("", "")
        if (name or not path) and home.lower() in ("", workspace.lower()):
            found.setdefault((name, writes), Access(name, where, writes))
    return list(found.values())
