"""Pipelines in pipelines, as people write them with the SDK.

Without `from __future__ import annotations`: the SDK reads the annotations of a pipeline's function.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from azure.ai.ml import Input, MLClient, Output, dsl, load_job
from azure.ai.ml.exceptions import JobException

from tests.contract.test_pipelines_sdk import PREPARE, TRAIN, client, step

__all__ = ["client"]

#: The SDK's own types do not fit what its decorator returns.
pipeline: Callable[..., Callable[[Any], Any]] = dsl.pipeline


def test_a_pipeline_in_a_pipeline_hands_on_what_its_nodes_write(client: MLClient, tmp_path: Path) -> None:
    (tmp_path / "raw.txt").write_text("hello ")
    prepare = step(
        tmp_path,
        "prepare",
        PREPARE,
        "${{inputs.raw}} ${{outputs.data}} && echo $AZUREML_ROOT_RUN_ID > ${{outputs.data}}/root.txt",
        inputs={"raw": Input(type="uri_file")},
        outputs={"data": Output(type="uri_folder")},
    )
    train = step(
        tmp_path,
        "train",
        TRAIN,
        "${{inputs.data}} ${{outputs.model}} ${{inputs.times}}",
        inputs={"data": Input(type="uri_folder"), "times": Input(type="integer")},
        outputs={"model": Output(type="uri_file")},
    )

    @pipeline()
    def inner(raw: Input(type="uri_file"), times: int = 2):  # type: ignore[no-untyped-def, valid-type]
        prepared = prepare(raw=raw)
        trained = train(data=prepared.outputs.data, times=times)
        return {"data": prepared.outputs.data, "model": trained.outputs.model}

    @pipeline(default_compute="serverless")
    def outer(raw: Input(type="uri_file")):  # type: ignore[no-untyped-def, valid-type]
        first = inner(raw=raw)
        second = inner(raw=first.outputs.model, times=3)
        return {"model": second.outputs.model, "data": second.outputs.data}

    job = client.jobs.create_or_update(outer(raw=Input(type="uri_file", path=str(tmp_path / "raw.txt"))))
    client.jobs.stream(job.name)

    for name in ("model", "data"):
        client.jobs.download(job.name, output_name=name, download_path=tmp_path)
    assert next((tmp_path / "named-outputs" / "model").rglob("*model*")).read_text() == "HELLO HELLO " * 3
    # The outermost pipeline is the root of all that it runs; its nodes are its children, and theirs are not.
    assert (tmp_path / "named-outputs" / "data" / "root.txt").read_text().strip() == job.name
    children = {child.display_name: child for child in client.jobs.list(parent_job_name=job.name)}
    assert sorted(children) == ["first", "second"]
    grandchildren = [child.display_name for child in client.jobs.list(parent_job_name=children["first"].name)]
    assert sorted(grandchildren) == ["prepared", "trained"]
    assert client.jobs.get(children["first"].name).status == "Completed"
    assert [found.name for found in client.jobs.list()] == [job.name]


def test_a_pipeline_that_is_a_component_runs_with_its_defaults_and_fails_as_its_nodes_do(
    client: MLClient, tmp_path: Path
) -> None:
    fail = step(tmp_path, "fail", "import sys\nsys.exit(int(sys.argv[1]))", "${{inputs.code}}", inputs={"code": 1})

    @pipeline()
    def inner(code: int = 0):  # type: ignore[no-untyped-def]
        fail(code=code)

    registered: Any = client.components.create_or_update(inner)
    (tmp_path / "job.yml").write_text(f"type: pipeline\ncomponent: azureml:{registered.name}:{registered.version}\n")
    job: Any = load_job(tmp_path / "job.yml")
    job.settings.default_compute = "serverless"

    whole = client.jobs.create_or_update(job)
    client.jobs.stream(whole.name)

    @pipeline(default_compute="serverless")
    def outer():  # type: ignore[no-untyped-def]
        registered(code=3)

    failed = client.jobs.create_or_update(outer())
    with pytest.raises(JobException, match="Pipeline has failed child jobs"):
        client.jobs.stream(failed.name)
