"""A job's code, inputs and outputs: where they come from, where they go, and what the job sees of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

from zenml_azureml.emulator.jobs.data_errors import DataAccessError, data_failure
from zenml_azureml.emulator.jobs.exits import FailedError
from zenml_azureml.emulator.jobs.layout import data_folder
from zenml_azureml.emulator.local.private_files import inside, shown
from zenml_azureml.emulator.resources import Job
from zenml_azureml.emulator.services.aml.asset_paths import find_place, output_place
from zenml_azureml.emulator.services.aml.datastore_uris import parse_uri
from zenml_azureml.emulator.services.aml.places import AssetPathError, Place
from zenml_azureml.emulator.state import Workspace
from zenml_azureml.emulator.types import Json

#: Types of inputs and outputs that are models.
MODELS = frozenset({"custom_model", "mlflow_model", "triton_model"})

_FILE = "uri_file"
_FOLDERS = frozenset({"uri_folder", "mltable"})
_WEB = ("http://", "https://")
#: Schemes of other storage, which needs credentials that nothing here has.
_NOT_READ = frozenset({"wasb", "wasbs", "abfs", "abfss", "adl"})


@dataclass(frozen=True)
class DataInput:
    """An input whose data a job reads as files.

    Attributes:
        name: Its name.
        kind: Its type, e.g. `uri_file`.
        uri: As the job names it.
        mode: Its mode, e.g. `Download`.
        source: The place of its data; an address for data of the web.
        folder: Folder of this input in the job's folder.
        path: What the job sees: that folder, or a file in it.
    """

    name: str
    kind: str
    uri: str
    mode: str
    source: Place | str
    folder: Path
    path: Path


@dataclass(frozen=True)
class DataOutput:
    """An output that a job writes as files.

    Attributes:
        name: Its name.
        kind: Its type, e.g. `uri_folder`.
        mode: Its mode, e.g. `ReadWriteMount`.
        place: Where its data is kept.
        path: What the job sees: the place itself, or a path in the job's folder that is uploaded at its end.
        asset_name: Name of the asset to make of it; None for none.
        asset_version: Version of the asset; None for the next one.
    """

    name: str
    kind: str
    mode: str
    place: Place
    path: Path
    asset_name: str | None
    asset_version: str | None

    @property
    def is_mounted(self) -> bool:
        """True if what the job writes is at its place at once."""
        return self.mode == "ReadWriteMount"


@dataclass(frozen=True)
class JobData:
    """A job's code, inputs and outputs.

    Attributes:
        code: The place of its code; None if it has none.
        inputs: Inputs that are files.
        outputs: Outputs that are files.
        values: What stands for `${{inputs.NAME}}` and `${{outputs.NAME}}`, by `("inputs", NAME)`.
        literals: Names of the inputs that are literals.
    """

    code: Place | None = None
    inputs: tuple[DataInput, ...] = ()
    outputs: tuple[DataOutput, ...] = ()
    values: Mapping[tuple[str, str], str] = field(default_factory=dict)
    literals: frozenset[str] = frozenset()

    @property
    def variables(self) -> dict[str, str]:
        """The environment variables that name the data: `AZURE_ML_INPUT_NAME`, `AZURE_ML_OUTPUT_NAME`.

        Those of literals are `AZUREML_PARAMETER_NAME`, as the Azure ML SDK documents for its `CommandJob`.
        """
        prefixes = {"inputs": "AZURE_ML_INPUT", "outputs": "AZURE_ML_OUTPUT"}
        return {
            f"{'AZUREML_PARAMETER' if kind == 'inputs' and name in self.literals else prefixes[kind]}_{name}": value
            for (kind, name), value in self.values.items()
        }

    @property
    def upper_variables(self) -> dict[str, str]:
        """The same variables with names in upper case, which nodes of pipelines have too.

        Guess: that both are there. ZenML's Azure ML orchestrator reads `AZURE_ML_OUTPUT_COMPLETED` in its nodes, of an
        output named `completed`; public scripts of command jobs read the name as it is written.
        """
        return {name.upper(): value for name, value in self.variables.items()}

    @property
    def mounts(self) -> tuple[Path, ...]:
        """Folders outside of the job's own that it writes to."""
        return tuple(
            output.path.parent if output.kind == _FILE else output.path for output in self.outputs if output.is_mounted
        )

    @property
    def read_only(self) -> tuple[Path, ...]:
        """Folders that the job cannot write to."""
        return tuple(one.folder for one in self.inputs if one.mode == "ReadOnlyMount")


#: The data of a job that has none, or whose data does not matter.
NO_DATA = JobData()


def plan_data(state_folder: Path, workspace: Workspace, job: Job, base_url: str) -> JobData:
    """Return the code, inputs and outputs of a job, without copying anything.

    Args:
        state_folder: The state folder of the emulator.
        workspace: The job's workspace.
        job: The job.
        base_url: URL of the emulator.

    Raises:
        FailedError: If something that the job names does not exist.
    """
    try:
        return _Planner(state_folder, workspace, base_url).plan(job)
    except AssetPathError as error:
        raise FailedError(error.code, error.message) from error


@dataclass(frozen=True)
class _Planner:
    state_folder: Path
    workspace: Workspace
    base_url: str

    def plan(self, job: Job) -> JobData:
        root = data_folder(job.folder)
        values: dict[tuple[str, str], str] = {}
        inputs, outputs, literals = [], [], set()
        for name, sent in job.properties["inputs"].items():
            if sent["jobInputType"] == "literal":
                values["inputs", name] = str(sent["value"])
                literals.add(name)
            elif sent["mode"] == "Direct":
                values["inputs", name] = self._direct_input(sent)
            else:
                inputs.append(self._input(name, sent, _own(root, f"INPUT_{name}")))
                values["inputs", name] = str(inputs[-1].path)
        for name, sent in job.properties["outputs"].items():
            if name == "default" and not parse_uri(sent["uri"] or ""):
                continue  # the job's artifacts, which it writes in its working directory
            place = output_place(self.state_folder, self.workspace, job, name)
            kind, mode = str(sent["jobOutputType"]), str(sent["mode"])
            if mode == "Direct":
                values["outputs", name] = place.long_uri
                continue
            path = place.target if mode == "ReadWriteMount" else _own(root, name)
            values["outputs", name] = str(path)
            outputs.append(DataOutput(name, kind, mode, place, path, sent["assetName"], sent["assetVersion"]))
        code = self._code(job.properties["codeId"])
        return JobData(code, tuple(inputs), tuple(outputs), values, frozenset(literals))

    def _code(self, code_id: str | None) -> Place | None:
        if not code_id:
            return None
        code = self._find(code_id, "codes")
        if not code.exists:
            # Guess: the message for a code asset without files.
            raise FailedError("UserError", f"The code of the job was not found: {code.uri}")
        return code

    def _find(self, reference: str, kind: str) -> Place:
        return find_place(self.state_folder, self.workspace, reference, kind=kind)

    def _direct_input(self, sent: Json) -> str:
        """Return the address of an input in the mode `Direct`: of an asset, that of its data."""
        uri = str(sent["uri"])
        if uri.startswith("azureml://datastores/") or ("://" in uri and not uri.startswith("azureml://")):
            return uri
        # Guess: the long form, as the service stores the addresses of assets.
        return self._find(uri, _kind_of(sent)).long_uri

    def _input(self, name: str, sent: Json, folder: Path) -> DataInput:
        uri, kind, mode = str(sent["uri"]), str(sent["jobInputType"]), str(sent["mode"])
        try:
            source = self._source(uri, _kind_of(sent))
            file_name = _web_name(source) if isinstance(source, str) else source.file.name
            path = folder / file_name if _is_file(source, kind) else folder
        except DataAccessError as error:
            raise data_failure(name, uri, mode, error) from error
        return DataInput(name, kind, uri, mode, source, folder, path)

    def _source(self, uri: str, kind: str) -> Place | str:
        if uri.startswith(_WEB) and not uri.startswith(f"{self.base_url}/"):
            return uri
        scheme = uri.partition("://")[0]
        if scheme in _NOT_READ:
            raise DataAccessError(
                "ConnectionFailure", f"this emulator reads no {scheme} addresses; use https or a datastore"
            )
        try:
            return self._find(uri, kind)
        except AssetPathError as error:
            # Guess: what a missing datastore or asset is called, where only a missing path was seen.
            raise DataAccessError("NotFound", error.message) from error


def _own(root: Path, name: str) -> Path:
    path = root / name
    if path.parent != root or ".." in path.parts:
        raise FailedError("UserError", f"The name {shown(name)} in the job's data is not the name of a folder.")
    return path


def _kind_of(sent: Json) -> str:
    return "models" if sent["jobInputType"] in MODELS else "data"


def _web_name(address: str) -> str:
    name = PurePosixPath(unquote(urlsplit(address).path)).name
    return name if name not in ("", "..") else "file"


def _is_file(source: Place | str, kind: str) -> bool:
    """True if an input is a file, False if it is a folder that holds something: empty folders are none in a container.

    Raises:
        DataAccessError: If it does not exist as what its type says.
    """
    if isinstance(source, str):
        return kind not in _FOLDERS
    if source.file.is_file() and kind not in _FOLDERS:
        return True
    if source.file.is_dir() and kind != _FILE and source.files():
        return False
    # Guess: a file where the type says folder, and the reverse, is not found.
    what = "file" if kind == _FILE else "folder"
    raise DataAccessError("NotFound", f"there is no {what} at {source.uri}")


def is_within(folder: Path, path: Path) -> bool:
    """True if a path is in a folder, links followed: a job can have put a link there.

    Args:
        folder: The folder.
        path: A path that begins with it.
    """
    return inside(folder, str(path.relative_to(folder))) is not None
