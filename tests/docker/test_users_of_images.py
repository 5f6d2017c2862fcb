"""Code, inputs and outputs of jobs in containers, whichever user their image has, as the real SDK brings them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from azure.ai.ml import Input, MLClient, Output, command
from azure.ai.ml.entities import Environment

from docker import DockerClient
from tests.conftest import credential_of, ml_client_of, point_clients_at
from tests.contract.waiting import eventually
from tests.docker import base_image
from zenml_azureml.emulator import Emulator
from zenml_azureml.emulator.context import Settings
from zenml_azureml.emulator.resources import TERMINAL_STATES
from zenml_azureml.emulator.runtimes.docker.runtime import DockerRuntime

SCRIPT = """
id -u
cat train.txt ${{inputs.file}} ${{inputs.folder}}/deep/b.txt ${{inputs.copied}}/deep/b.txt
for input in ${{inputs.file}} ${{inputs.folder}}/deep/b.txt ${{inputs.folder}}/new; do
    echo x 2> /dev/null >> $input && echo "$input could be written"
done
echo more >> ${{inputs.copied}}/deep/b.txt
test -r "$REQUESTS_CA_BUNDLE" && echo trusts
umask 077
mkdir -p outputs/deep ${{outputs.mounted}}/deep ${{outputs.uploaded}}/deep
for folder in outputs ${{outputs.mounted}} ${{outputs.uploaded}}; do echo written > $folder/deep/c.txt; done
echo one > ${{outputs.single}}
"""


@pytest.fixture(params=["", "USER 1234:1234"])
def image(request: pytest.FixtureRequest, engine: DockerClient, registry: str, debian: Path) -> str:
    """An image whose user is root, and one with another user."""
    image = f"{registry}/user-{request.param.partition(':')[2] or 'root'}:1"
    base_image.import_image(engine, debian, image, *filter(None, [request.param]))
    base_image.push(engine, image)
    return image


def test_a_job_reads_and_writes_its_data_and_the_emulator_has_what_it_leaves(
    image: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, state = tmp_path / "source", tmp_path / "state"
    (source / "code").mkdir(parents=True)
    (source / "code/train.txt").write_text("code\n")
    (source / "a.txt").write_text("alpha\n")
    (source / "data/deep").mkdir(parents=True)
    (source / "data/deep/b.txt").write_text("beta\n")
    settings = Settings(compute_provisioning=0, job_preparation=0, job_finalization=0)
    with Emulator(state, runtime=DockerRuntime(state, grace=0), settings=settings) as emulator:
        point_clients_at(emulator, monkeypatch)
        client: MLClient = ml_client_of(emulator, credential_of(emulator))
        job = command(
            code=str(source / "code"),
            command=SCRIPT,
            environment=Environment(name="with-user", version="1", image=image),
            inputs={
                "file": Input(type="uri_file", path=str(source / "a.txt"), mode="ro_mount"),
                "folder": Input(type="uri_folder", path=str(source / "data"), mode="ro_mount"),
                "copied": Input(type="uri_folder", path=str(source / "data"), mode="download"),
            },
            outputs={
                "mounted": Output(type="uri_folder", mode="rw_mount"),
                "uploaded": Output(type="uri_folder", mode="upload"),
                "single": Output(type="uri_file", mode="upload"),
            },
        )
        name = str(client.jobs.create_or_update(job).name)
        eventually(lambda: client.jobs.get(name).status in TERMINAL_STATES, seconds=240)

        log = (state / "jobs" / name / "user_logs/std_log.txt").read_text().splitlines()
        assert (client.jobs.get(name).status, log) == (
            "Completed",
            ["1234" if "1234" in image else "0", "code", "alpha", "beta", "beta", "trusts"],
        )
        client.jobs.download(name, all=True, download_path=str(tmp_path / "got"))
        found = {path.relative_to(tmp_path / "got").as_posix() for path in (tmp_path / "got").rglob("c.txt")}
        assert found == {
            "artifacts/outputs/deep/c.txt",
            "named-outputs/mounted/deep/c.txt",
            "named-outputs/uploaded/deep/c.txt",
        }
        assert {path.lstat().st_uid for path in state.rglob("*")} == {os.geteuid()}
