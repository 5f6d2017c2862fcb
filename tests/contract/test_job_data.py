"""Code and data of command jobs, as the unmodified SDK brings them: what the command finds, and what is left of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme
from azure.ai.ml import Input, MLClient, Output, command
from azure.ai.ml.constants import AssetTypes, InputOutputModes
from azure.ai.ml.entities import Data, Environment, Job, Model

from tests.contract.arm import Arm
from tests.contract.waiting import eventually
from tests.https_server import https_server
from zenml_azureml.emulator import Emulator
from zenml_azureml.emulator.resources import TERMINAL_STATES

ENVIRONMENT = Environment(name="ours", version="1", image="python:3.12")


def ran(client: MLClient, job: Any) -> Job:
    """The job after its end."""
    made = client.jobs.create_or_update(job)
    eventually(lambda: client.jobs.get(made.name).status in TERMINAL_STATES)
    done: Job = client.jobs.get(made.name)
    return done


def log_of(bench: Emulator, job: Job) -> str:
    return (folder_of(bench, job) / "user_logs" / "std_log.txt").read_text()


def folder_of(bench: Emulator, job: Job) -> Path:
    """Where the emulator keeps what the job wrote."""
    return bench.context.folder / "jobs" / str(job.name)


def error_of(bench: Emulator, name: str | None) -> str:
    error = bench.context.store.workspaces[0].jobs[str(name)].error
    return str(error["message"]) if error else ""


def test_the_snapshot_is_the_working_directory(client: MLClient, bench: Emulator, tmp_path: Path) -> None:
    (tmp_path / "src" / "package").mkdir(parents=True)
    (tmp_path / "src" / "train.py").write_text("import package; print(package.WORD)")
    (tmp_path / "src" / "package" / "__init__.py").write_text("WORD = 'found'")
    show = 'python train.py && test "$PWD" = "$AZUREML_CR_EXECUTION_WORKING_DIR_PATH" && echo ${PWD: -7}'

    job = ran(client, command(code=str(tmp_path / "src"), command=show, environment=ENVIRONMENT))

    assert (job.status, log_of(bench, job)) == ("Completed", "found\n/exe/wd\n")


def test_local_files_and_folders_are_what_the_command_reads(client: MLClient, bench: Emulator, tmp_path: Path) -> None:
    (tmp_path / "data" / "deep").mkdir(parents=True)
    (tmp_path / "data" / "deep" / "b.txt").write_text("beta\n")
    (tmp_path / "a.csv").write_text("alpha\n")
    inputs = {
        "file": Input(type=AssetTypes.URI_FILE, path=str(tmp_path / "a.csv")),
        "folder": Input(type=AssetTypes.URI_FOLDER, path=str(tmp_path / "data"), mode=InputOutputModes.DOWNLOAD),
        "rate": 0.5,
    }
    show = (
        "cat ${{inputs.file}} ${{inputs.folder}}/deep/b.txt && echo ${{inputs.rate}} $AZUREML_PARAMETER_rate"
        ' && test "$AZURE_ML_INPUT_file" = ${{inputs.file}} && basename ${{inputs.file}} ${{inputs.folder}}'
        " && cat ../../cap/data-capability/wd/INPUT_file/a.csv"
    )

    job = ran(client, command(command=show, inputs=inputs, environment=ENVIRONMENT))

    expected = "alpha\nbeta\n0.5 0.5\na.csv\nalpha\n"
    assert (job.status, log_of(bench, job)) == ("Completed", expected)


@pytest.mark.parametrize(
    "sent",
    [
        Input(type="uri_folder", path="azureml://datastores/workspaceblobstore/paths/nowhere/"),
        Input(type="uri_file", path="azureml://datastores/workspaceblobstore/paths/nowhere/a.csv", mode="download"),
        Input(type="uri_folder", path="azureml://datastores/missing/paths/data/"),
        Input(type="uri_folder", path="azureml:missing:1"),
        Input(type="custom_model", path="azureml:missing:1"),
        Input(type="uri_folder", path="azureml://jobs/missing/outputs/artifacts/paths/model"),
        Input(type="mltable", path="azureml://datastores/workspaceblobstore/paths/nowhere/table/"),
    ],
)
def test_an_input_that_does_not_exist_fails_the_job_before_its_command(
    client: MLClient, bench: Emulator, sent: Input
) -> None:
    # The words are those of Azure/azure-sdk-for-python#27318.
    job = ran(client, command(command="echo ${{inputs.data}}", inputs={"data": sent}, environment=ENVIRONMENT))

    assert job.status == "Failed"
    message = error_of(bench, job.name)
    assert message.startswith('{"NonCompliant":"DataAccessError(NotFound)"}\n')
    assert "data-capability." in message
    assert "data: " in message
    assert not (folder_of(bench, job) / "user_logs").exists()
    arm = Arm(bench)
    details = arm.call("GET", f"/history/v1.0{arm.workspace}/runs/{job.name}/details", api_version=None).body
    assert details["error"]["error"]["code"] == "UserError"


def test_outputs_are_what_the_command_wrote(client: MLClient, bench: Emulator, tmp_path: Path) -> None:
    outputs = {
        "plain": Output(type="uri_folder"),
        "uploaded": Output(type="uri_folder", mode="upload"),
        "file": Output(type="uri_file"),
        "chosen": Output(type="uri_folder", path="azureml://datastores/workspaceblobstore/paths/chosen/place"),
        "model": Output(type="custom_model", mode="upload"),
    }
    write = (
        "mkdir -p logs && echo 1 > outputs/a.txt && echo 2 > logs/b.txt"
        " && for one in plain uploaded chosen model; do v=AZURE_ML_OUTPUT_$one; echo $one > ${!v}/it; done"
        ' && test ${{outputs.plain}} = "$AZURE_ML_OUTPUT_plain" && echo file > ${{outputs.file}}'
    )

    job = ran(client, command(command=write, outputs=outputs, environment=ENVIRONMENT))
    assert job.status == "Completed", error_of(bench, job.name)
    client.jobs.download(job.name, download_path=tmp_path, all=True)

    found = {path.relative_to(tmp_path).as_posix(): path.read_text() for path in tmp_path.rglob("*") if path.is_file()}
    assert found.pop("artifacts/user_logs/std_log.txt") == ""
    assert found == {
        "artifacts/outputs/a.txt": "1\n",
        "artifacts/logs/b.txt": "2\n",
        "named-outputs/plain/it": "plain\n",
        "named-outputs/uploaded/it": "uploaded\n",
        "named-outputs/chosen/it": "chosen\n",
        "named-outputs/model/it": "model\n",
        "named-outputs/file/file": "file\n",
    }


@pytest.mark.parametrize(
    ("form", "expected"), [({}, "artifacts/outputs/a"), ({"output_name": "o"}, "named-outputs/o/b")]
)
def test_downloads_of_a_part(client: MLClient, tmp_path: Path, form: dict[str, Any], expected: str) -> None:
    outputs = {"o": Output(type="uri_folder")}
    job = ran(client, command(command="touch outputs/a ${{outputs.o}}/b", outputs=outputs, environment=ENVIRONMENT))

    client.jobs.download(job.name, download_path=tmp_path, **form)

    found = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()}
    assert found - {"artifacts/user_logs/std_log.txt"} == {expected}


def test_what_a_failed_job_would_have_uploaded_is_not_there(client: MLClient, bench: Emulator, tmp_path: Path) -> None:
    outputs = {"up": Output(type="uri_folder", mode="upload"), "mounted": Output(type="uri_folder")}
    write = "touch ${{outputs.up}}/a ${{outputs.mounted}}/b outputs/c; exit 3"

    job = ran(client, command(command=write, outputs=outputs, environment=ENVIRONMENT))
    client.jobs.download(job.name, download_path=tmp_path, all=True)
    client.jobs.download(job.name, download_path=tmp_path, output_name="mounted")

    assert job.status == "Failed"
    found = {path.name for path in tmp_path.rglob("*") if path.is_file()}
    assert found == {"std_log.txt", "b", "c"}


def test_a_job_reads_what_another_wrote(client: MLClient, bench: Emulator) -> None:
    write = "echo one > ${{outputs.o}}/x; mkdir outputs/model; echo two > outputs/model/y"
    first = ran(client, command(command=write, outputs={"o": Output(type="uri_folder")}, environment=ENVIRONMENT))
    inputs = {
        "whole": Input(type="uri_folder", path=f"azureml://jobs/{first.name}/outputs/o"),
        "file": Input(type="uri_file", path=f"azureml://jobs/{first.name}/outputs/o/paths/x"),
        "artifacts": Input(
            type="uri_folder", path=f"azureml://jobs/{first.name}/outputs/artifacts/paths/outputs/model/"
        ),
    }
    show = "cat ${{inputs.whole}}/x ${{inputs.file}} ${{inputs.artifacts}}/y"

    second = ran(client, command(command=show, inputs=inputs, environment=ENVIRONMENT))

    assert second.status == "Completed", error_of(bench, second.name)
    assert log_of(bench, second) == "one\none\ntwo\n"


def test_registered_outputs_are_assets_that_jobs_read(client: MLClient, bench: Emulator) -> None:
    outputs = {
        "data": Output(type="uri_folder", name="made-data"),
        "model": Output(type="custom_model", name="made-model"),
    }
    write = "echo d > ${{outputs.data}}/x; echo m > ${{outputs.model}}/y"
    for _ in range(2):
        job = ran(client, command(command=write, outputs=outputs, environment=ENVIRONMENT))
        assert job.status == "Completed", error_of(bench, job.name)
    inputs = {
        "data": Input(type="uri_folder", path="made-data@latest"),
        "model": Input(type="custom_model", path="azureml:made-model:1"),
        "address": Input(type="uri_folder", path="azureml:made-data:2", mode="direct"),
    }
    show = "cat ${{inputs.data}}/x ${{inputs.model}}/y; echo ${{inputs.address}}"

    reader = ran(client, command(command=show, inputs=inputs, environment=ENVIRONMENT))

    assert reader.status == "Completed", error_of(bench, reader.name)
    assert [one.version for one in client.data.list("made-data")] == ["2", "1"]
    assert client.models.get("made-model", label="latest").version == "2"
    *files, address = log_of(bench, reader).splitlines()
    assert files == ["d", "m"]
    assert address.startswith("azureml://subscriptions/")
    assert address.rstrip("/").endswith(f"azureml/{job.name}/data")


def test_assets_from_local_files_and_from_jobs_are_read(client: MLClient, bench: Emulator, tmp_path: Path) -> None:
    (tmp_path / "t").mkdir()
    (tmp_path / "t" / "MLTable").write_text("paths: [{file: ./a.csv}]\n")
    (tmp_path / "t" / "a.csv").write_text("a\n")
    client.data.create_or_update(Data(name="table", version="1", path=str(tmp_path / "t"), type="mltable"))
    first = ran(client, command(command="mkdir outputs/m; echo m > outputs/m/model.pkl", environment=ENVIRONMENT))
    path = f"azureml://jobs/{first.name}/outputs/artifacts/paths/outputs/m/"
    client.models.create_or_update(Model(name="of-job", path=path, type="custom_model"))
    inputs = {
        "table": Input(type="mltable", path="azureml:table:1"),
        "model": Input(type="custom_model", path="of-job@latest"),
    }
    show = "ls ${{inputs.table}}; cat ${{inputs.model}}/model.pkl"

    job = ran(client, command(command=show, inputs=inputs, environment=ENVIRONMENT))

    assert job.status == "Completed", error_of(bench, job.name)
    assert log_of(bench, job) == "MLTable\na.csv\nm\n"


PAGES = {
    "/public/data/a.csv": "alpha\n",
    "/public/data/deep/b c.csv": "beta\n",
    "/public": (
        "<EnumerationResults><Blobs><Blob><Name>data/a.csv</Name></Blob><Blob><Name>data/deep/b c.csv</Name></Blob>"
        "<Blob><Name>data/../../../escaped</Name></Blob></Blobs><NextMarker/></EnumerationResults>"
    ),
}


@pytest.fixture
def web(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[str]:
    """A public blob container at an address of the web."""
    ca = trustme.CA()
    ca.cert_pem.write_to_path(tmp_path / "ca.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    with https_server(ca, PAGES) as address:
        yield address.rstrip("/")


def test_inputs_from_the_web(client: MLClient, bench: Emulator, web: str) -> None:
    inputs = {
        "file": Input(type="uri_file", path=f"{web}/public/data/a.csv"),
        "folder": Input(type="uri_folder", path=f"{web}/public/data/"),
        "address": Input(type="uri_file", path=f"{web}/public/data/a.csv", mode="direct"),
    }
    show = "cat ${{inputs.file}} ${{inputs.folder}}/a.csv '${{inputs.folder}}/deep/b c.csv'; echo ${{inputs.address}}"

    job = ran(client, command(command=show, inputs=inputs, environment=ENVIRONMENT))

    assert job.status == "Completed", error_of(bench, job.name)
    assert log_of(bench, job) == f"alpha\nalpha\nbeta\n{web}/public/data/a.csv\n"
    assert not list(bench.context.folder.rglob("escaped"))


@pytest.mark.parametrize(
    ("path", "reason"), [("{web}/public/none.csv", "NotFound"), ("https://127.0.0.1:9/a.csv", "ConnectionFailure")]
)
def test_an_input_that_is_not_in_the_web(client: MLClient, bench: Emulator, web: str, path: str, reason: str) -> None:
    data = Input(type="uri_file", path=path.format(web=web))

    job = ran(client, command(command="echo ${{inputs.data}}", inputs={"data": data}, environment=ENVIRONMENT))

    assert job.status == "Failed"
    assert f"DataAccessError({reason})" in error_of(bench, job.name)


def test_nodes_share_what_they_write_and_read(client: MLClient, bench: Emulator, tmp_path: Path) -> None:
    arm = Arm(bench)
    properties = {"vmSize": "Standard_DS3_v2", "scaleSettings": {"minNodeCount": 0, "maxNodeCount": 2}}
    body = {"location": "westeurope", "properties": {"computeType": "AmlCompute", "properties": properties}}
    assert arm.call("PUT", "computes/nodes", body, api_version="2023-04-01").status == 201
    (tmp_path / "a.csv").write_text("alpha\n")
    (tmp_path / "run.sh").write_text("cat $1 > outputs/$AZUREML_CR_NODE_RANK.txt\n")
    job = command(
        code=str(tmp_path),
        command="bash run.sh ${{inputs.file}}",
        inputs={"file": Input(type="uri_file", path=str(tmp_path / "a.csv"))},
        environment=ENVIRONMENT,
        compute="nodes",
        instance_count=2,
    )

    done = ran(client, job)

    assert done.status == "Completed", error_of(bench, done.name)
    client.jobs.download(done.name, download_path=tmp_path / "down")
    written = sorted((tmp_path / "down" / "artifacts" / "outputs").iterdir())
    assert [(file.name, file.read_text()) for file in written] == [("0.txt", "alpha\n"), ("1.txt", "alpha\n")]


def test_inputs_are_gone_after_the_job_and_links_out_of_outputs_are_not_followed(
    client: MLClient, bench: Emulator, tmp_path: Path
) -> None:
    (tmp_path / "a.csv").write_text("alpha\n")
    (tmp_path / "secret").write_text("secret\n")
    outputs = {"up": Output(type="uri_folder", mode="upload")}
    inputs = {"file": Input(type="uri_file", path=str(tmp_path / "a.csv"))}
    write = f"ln -s {tmp_path}/secret ${{{{outputs.up}}}}/link; ln -s {tmp_path}/secret outputs/link; touch outputs/a"

    job = ran(client, command(command=write, inputs=inputs, outputs=outputs, environment=ENVIRONMENT))
    client.jobs.download(job.name, download_path=tmp_path / "down", all=True)

    assert job.status == "Completed"
    assert "secret\n" not in {path.read_text() for path in (tmp_path / "down").rglob("*") if path.is_file()}
    assert not list((folder_of(bench, job) / "cap").rglob("INPUT_*"))
