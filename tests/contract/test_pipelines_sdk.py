"""Pipelines as people write them with the SDK: code, data and components, in processes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from azure.ai.ml import Input, MLClient, Output, command, dsl
from azure.ai.ml.entities import Environment, Model
from azure.ai.ml.exceptions import JobException

from tests.conftest import credential_of, ml_client_of, point_clients_at
from zenml_azureml.emulator import Emulator
from zenml_azureml.emulator.context import Settings
from zenml_azureml.emulator.runtimes.process.runtime import ProcessRuntime

PREPARE = """
import pathlib, sys
pathlib.Path(sys.argv[2], "data.txt").write_text(open(sys.argv[1]).read().upper())
"""
TRAIN = """
import pathlib, sys
text = pathlib.Path(sys.argv[1], "data.txt").read_text() * int(sys.argv[3])
print("trained on", text)
pathlib.Path(sys.argv[2]).write_text(text)
"""


@pytest.fixture
def client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[MLClient]:
    settings = Settings(compute_provisioning=0, job_preparation=0, job_finalization=0)
    with Emulator(tmp_path / "emulator", runtime=ProcessRuntime(grace=0.1), settings=settings) as emulator:
        point_clients_at(emulator, monkeypatch)
        yield ml_client_of(emulator, credential_of(emulator))


def step(folder: Path, name: str, script: str, arguments: str, **more: Any) -> Any:
    code = folder / name
    code.mkdir()
    (code / "main.py").write_text(script)
    environment = Environment(image="python:3.12")
    return command(name=name, code=str(code), command=f"python main.py {arguments}", environment=environment, **more)


def test_inline_and_registered_components_hand_on_what_they_write(
    client: MLClient, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "raw.txt").write_text("hello ")
    prepare = step(
        tmp_path,
        "prepare",
        PREPARE,
        "${{inputs.raw}} ${{outputs.data}}",
        inputs={"raw": Input(type="uri_file")},
        outputs={"data": Output(type="uri_folder")},
    )
    train = step(
        tmp_path,
        "train",
        TRAIN,
        "${{inputs.data}} ${{outputs.model}} ${{inputs.times}}",
        inputs={"data": Input(type="uri_folder"), "times": Input(type="integer", default=2)},
        outputs={"model": Output(type="uri_file")},
    )
    registered = client.components.create_or_update(train.component)

    @dsl.pipeline
    def both(raw):  # type: ignore[no-untyped-def]  # the SDK reads annotations as types of inputs
        prepared = prepare(raw=raw)
        trained = registered(data=prepared.outputs.data)
        return {"model": trained.outputs.model}

    wanted: Any = both(raw=Input(type="uri_file", path=str(tmp_path / "raw.txt")))
    wanted.settings.default_compute = "serverless"
    wanted.outputs.model = Output(type="uri_file", name="best")

    job = client.jobs.create_or_update(wanted, experiment_name="trial")
    client.jobs.stream(job.name)

    assert "Submitting 1 runs, first five are: " in capfd.readouterr().out
    found = {child.display_name: child for child in client.jobs.list(parent_job_name=job.name)}
    assert {name: child.status for name, child in found.items()} == {"prepared": "Completed", "trained": "Completed"}
    client.jobs.download(job.name, download_path=tmp_path / "all", output_name="model")
    (model,) = [path for path in (tmp_path / "all").rglob("*") if path.is_file()]
    assert model.read_text() == "HELLO HELLO "
    client.jobs.download(found["trained"].name, download_path=tmp_path / "child", all=True)
    logs = [path.read_text() for path in (tmp_path / "child").rglob("std_log.txt")]
    assert logs == ["trained on HELLO HELLO \n"]
    assert client.data.get("best", version="1").type == "uri_file"
    ended = client.jobs.get(job.name)
    assert ended.status == "Completed"
    # The output of the pipeline is an input of another job; and tags of the pipeline can change.
    reader = command(
        command="grep HELLO ${{inputs.model}}",
        environment=Environment(image="python:3.12"),
        inputs={"model": Input(type="uri_file", path=f"azureml://jobs/{job.name}/outputs/model")},
    )
    client.jobs.stream(client.jobs.create_or_update(reader).name)
    ended.tags["checked"] = "yes"
    assert client.jobs.create_or_update(ended).tags["checked"] == "yes"


def test_the_output_artifacts_of_a_node_is_what_it_leaves_in_its_outputs_folder(client: MLClient) -> None:
    environment = Environment(image="python:3.12")
    writes = command(
        name="writes",
        command="echo left > outputs/left.txt; echo written > ${{outputs.artifacts}}/written.txt",
        environment=environment,
        outputs={"artifacts": Output(type="uri_folder")},
    )
    reads = command(
        name="reads",
        command="grep left ${{inputs.given}}/outputs/left.txt && grep written ${{inputs.given}}/written.txt",
        environment=environment,
        inputs={"given": Input(type="uri_folder")},
    )

    @dsl.pipeline
    def both() -> None:
        written: Any = writes()
        reads(given=written.outputs.artifacts)

    wanted: Any = both()
    wanted.settings.default_compute = "serverless"
    client.jobs.stream(client.jobs.create_or_update(wanted).name)


def test_a_failed_node_fails_the_stream_with_its_name(client: MLClient, tmp_path: Path) -> None:
    broken = step(tmp_path, "broken", "raise SystemExit(3)", "")

    @dsl.pipeline
    def only() -> None:
        broken()

    wanted: Any = only()
    wanted.settings.default_compute = "serverless"
    job = client.jobs.create_or_update(wanted)

    with pytest.raises(JobException, match="Failed nodes: broken"):
        client.jobs.stream(job.name)

    (child,) = client.jobs.list(parent_job_name=job.name)
    assert child.status == "Failed"


def test_the_service_evaluates_the_expressions_in_the_path_of_a_nodes_output(client: MLClient) -> None:
    write = command(
        name="write",
        command="echo done > ${{outputs.result}}/file",
        environment=Environment(image="python:3.12"),
        outputs={"result": Output(type="uri_folder")},
    )

    pipeline: Callable[..., Callable[[Any], Any]] = dsl.pipeline

    @pipeline(compute="serverless", default_datastore="workspaceartifactstore")
    def kept() -> None:
        node: Any = write()
        path = "azureml://datastores/${{default_datastore}}/paths/kept/${{name}}/${{output_name}}"
        node.outputs.result = Output(type="uri_folder", path=path, mode="rw_mount")

    job = client.jobs.create_or_update(kept())
    client.jobs.stream(job.name)

    [child] = client.jobs.list(parent_job_name=job.name)
    place = f"azureml://datastores/workspaceartifactstore/paths/kept/{child.name}/result"
    reader = command(
        command="cat ${{inputs.file}}",
        environment=Environment(image="python:3.12"),
        inputs={"file": Input(type="uri_file", path=f"{place}/file")},
    )
    client.jobs.stream(client.jobs.create_or_update(reader).name)


@pytest.mark.parametrize("path", [None, "azureml://datastores/workspaceblobstore/paths/mine/${{name}}/"])
def test_an_output_of_a_pipeline_is_registered_and_read_by_its_path(client: MLClient, path: str | None) -> None:
    environment = Environment(image="python:3.12")
    outputs = {"model": Output(type="custom_model")}
    train: Any = command(command="echo 1 > ${{outputs.model}}/weights", environment=environment, outputs=outputs)

    @dsl.pipeline
    def trained():  # type: ignore[no-untyped-def]
        return {"model": train().outputs.model}

    wanted: Any = trained()
    wanted.settings.default_compute = "serverless"
    wanted.outputs.model = Output(type="custom_model", path=path)
    job = client.jobs.create_or_update(wanted)
    client.jobs.stream(job.name)

    source = f"azureml://jobs/{job.name}/outputs/model"
    model = client.models.create_or_update(Model(name="net", path=source, type="custom_model"))

    [child] = client.jobs.list(parent_job_name=job.name)
    where = "mine/{}" if path else "azureml/{}/model"
    assert str(model.path).endswith(f"/datastores/workspaceblobstore/paths/{where.format(child.name)}")
    reader = command(
        command="cat ${{inputs.model}}/weights",
        environment=environment,
        inputs={"model": Input(type="custom_model", path=source)},
    )
    client.jobs.stream(client.jobs.create_or_update(reader).name)
