"""What a job's docker arguments mean to the `docker` package."""

from __future__ import annotations

from typing import Any

import pytest

from zenml_azureml.emulator.jobs.exits import FailedError
from zenml_azureml.emulator.runtimes.docker.arguments import container_options


@pytest.mark.parametrize(
    ("line", "options"),
    [
        (None, {}),
        ("", {}),
        ("--ipc=host", {"ipc_mode": "host"}),
        ("--ipc host --shm-size 4g", {"ipc_mode": "host", "shm_size": "4g"}),
        ("-m 2g --cpus 1.5", {"mem_limit": "2g", "nano_cpus": 1_500_000_000}),
        ("--cap-add=SYS_ADMIN --cap-add SYS_PTRACE", {"cap_add": ["SYS_ADMIN", "SYS_PTRACE"]}),
        ("-e 'A=of two words' --env B=", {"environment": {"A": "of two words", "B": ""}}),
        ("-v /data:/data:ro", {"volumes": ["/data:/data:ro"]}),
        ("--ulimit memlock=-1", {"ulimits": [{"Name": "memlock", "Soft": -1, "Hard": -1}]}),
        ("--ulimit nofile=1:2", {"ulimits": [{"Name": "nofile", "Soft": 1, "Hard": 2}]}),
        ("--add-host registry:10.0.0.1", {"extra_hosts": {"registry": "10.0.0.1"}}),
        ("--tmpfs /scratch:size=64m", {"tmpfs": {"/scratch": "size=64m"}}),
        ("--privileged", {"privileged": True}),
        ("--gpus all --rm -it --init", {}),
    ],
)
def test_options_of_docker_run_are_told_to_the_docker_package(line: str | None, options: dict[str, Any]) -> None:
    assert container_options(line) == {"environment": {}, **options}


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("--no-such-option", "unrecognized arguments: --no-such-option"),
        ("ubuntu", "unrecognized arguments: ubuntu"),
        ("--cpus many", "invalid float value: 'many'"),
        ("--ulimit nofile=many", "invalid ulimit argument: nofile=many"),
        ("-e 'A=", "No closing quotation"),
    ],
)
def test_what_makes_no_sense_fails_the_job_with_the_reason(line: str, why: str) -> None:
    with pytest.raises(FailedError, match=why) as refusal:
        container_options(line)

    assert refusal.value.code == "UserError"
