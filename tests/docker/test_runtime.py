"""The Docker runtime: real containers from images that a registry gives."""

from __future__ import annotations

import asyncio
import hashlib
import io
import json
import platform
import shlex
import subprocess
import tarfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import zenml_azureml
from docker import DockerClient
from tests.contract.arm import Arm
from tests.contract.test_outputs import SAVED
from tests.contract.test_scenarios import arm_scenario, ended, submit
from tests.contract.waiting import eventually
from tests.docker.base_image import push
from zenml_azureml.contract.usage import CPU, MEMORY, Usage, without_report
from zenml_azureml.emulator import Emulator
from zenml_azureml.emulator.context import Settings
from zenml_azureml.emulator.jobs import layout
from zenml_azureml.emulator.jobs.exits import FailedError
from zenml_azureml.emulator.jobs.processes import job_processes
from zenml_azureml.emulator.local.state_folder import claim
from zenml_azureml.emulator.runtimes.base import JobEnd, JobLaunch
from zenml_azureml.emulator.runtimes.docker.runtime import DockerRuntime, working_directory
from zenml_azureml.emulator.services.aml.asset_paths import find_place

LOGGED_APART = job_processes({"distributionType": "PyTorch"}, 2)

#: Rank 0 tells its job's name to rank 1, which prints it; both run for long enough to be in the way of another job.
MEET = """
import os, socket, time
address = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
if os.environ["RANK"] == "0":
    with socket.create_server(address) as server:
        time.sleep(5)
        server.accept()[0].sendall(os.environ["JOB"].encode())
while os.environ["RANK"] == "1":
    try:
        print(socket.create_connection(address).recv(99).decode())
        break
    except ConnectionRefusedError:
        time.sleep(0.1)
"""

#: A step that takes 150 MB, and everything when it may.
FILL = """
import pathlib, time
block = bytearray(150_000_000)
block[::4096] = b"x" * len(block[::4096])
while not pathlib.Path("/signals/go").exists():
    time.sleep(0.1)
rest = bytearray(1_000_000_000)
rest[::4096] = b"x" * len(rest[::4096])
"""

SOURCES = Path(zenml_azureml.__file__).parents[1]

Launch = Callable[..., JobLaunch]


@pytest.fixture
def launch(tmp_path: Path, plain_image: str, engine: DockerClient) -> Iterator[Launch]:
    """Makes launches, each with a folder of its own; no container of them outlives the test."""
    claim(tmp_path)

    def make(command: str, *, name: str = "job", image: str = plain_image, **fields: Any) -> JobLaunch:
        folder = tmp_path / "jobs" / name
        folder.mkdir(parents=True)
        return JobLaunch(name, command, image, fields.pop("environment", {}), folder, **fields)

    yield make
    assert containers(engine, tmp_path) == []


def containers(engine: DockerClient, state: Path) -> list[Any]:
    return engine.containers.list(all=True, sparse=True, filters={"label": f"zenml-azureml.emulator={state}"})  # type: ignore[no-any-return]


def run(job: JobLaunch, **options: Any) -> JobEnd:
    async def start_and_wait() -> JobEnd:
        runtime = DockerRuntime(job.folder.parents[1], **options)
        try:
            return await (await runtime.start(job)).wait()
        finally:
            await runtime.close()

    return asyncio.run(start_and_wait())


def log_source(job: JobLaunch) -> str:
    return job.log_file.read_text()


#: What a visitor's shell prints: the job's folder and file, and its variables.
LOOK = 'echo "$PWD $OF_THE_IMAGE $OF_THE_JOB $(cat file)"; [ -t 0 ] && echo terminal; exit 7'


class TestWhatAJobSees:
    def test_a_shell_has_its_folder_and_variables_and_ends_with_it(self, launch: Launch) -> None:
        job = launch("echo kept > file; until [ -e over ]; do sleep 0.1; done", environment={"OF_THE_JOB": "too"})
        folder = layout.working_directory(job.folder)
        folder.mkdir(parents=True)

        async def visit() -> tuple[list[tuple[int | None, bytes]], JobEnd]:
            runtime = DockerRuntime(job.folder.parents[1])
            try:
                running = await runtime.start(job)
                shell = running.shell(0)
                assert shell is not None
                assert running.shell(1) is None
                await asyncio.to_thread(eventually, (folder / "file").exists, 120)
                seen = []
                for argv in (
                    shell.command,
                    ("script", "-qec", shlex.join([*shell.command_with_terminal, "-c", LOOK]), "/dev/null"),
                ):
                    words = argv if argv[0] == "script" else (*argv, "-c", LOOK)
                    process = await asyncio.create_subprocess_exec(
                        *words, env=dict(shell.environment), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE
                    )
                    output, _ = await process.communicate()
                    seen.append((process.returncode, output.replace(b"\r", b"")))
                (folder / "over").touch()
                return seen, await running.wait()
            finally:
                await runtime.close()

        (plain, at_terminal), end = asyncio.run(visit())

        line = f"{working_directory(job.name)} yes too kept\n".encode()
        assert plain == (7, line)
        assert at_terminal[0] == 7
        # `script` passes the end of its own input on, and the terminal shows it, before or after what the shell prints.
        assert at_terminal[1].replace(b"^@", b"").replace(b"^D\b\b", b"").startswith(line + b"terminal\n")
        assert end == JobEnd(exit_code=0)

    def test_its_own_variables_and_the_images(self, launch: Launch) -> None:
        job = launch("echo $OF_THE_IMAGE $OF_THE_JOB $AZUREML_CR_NODE_RANK", environment={"OF_THE_JOB": "too"})

        assert run(job) == JobEnd(exit_code=0)
        assert log_source(job) == "yes too 0\n"

    def test_nothing_of_the_emulators_environment(self, launch: Launch, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("AZURE_CLIENT_SECRET", "secret")
        job = launch("env")

        run(job)

        assert "secret" not in log_source(job)

    def test_an_image_of_its_build_context(self, plain_image: str, engine: DockerClient, tmp_path: Path) -> None:
        settings = Settings(compute_provisioning=0, job_preparation=0, job_finalization=0)
        with Emulator(tmp_path, runtime=DockerRuntime(tmp_path, grace=0), settings=settings) as emulator:
            arm = Arm(emulator)
            place = find_place(
                emulator.context.folder,
                emulator.context.store.workspaces[0],
                "azureml://datastores/workspaceblobstore/paths/context",
            )
            place.file.mkdir(parents=True)
            (place.file / "own.Dockerfile").write_text(f"FROM {plain_image}\nCOPY said /said\nRUN cat /said > /built\n")
            (place.file / "said").write_text("of the context\n")
            for name, dockerfile in (("built", "own.Dockerfile"), ("broken", "none")):
                build = {"contextUri": f"{emulator.base_url}/{place.container}/context/", "dockerfilePath": dockerfile}
                sent = {"properties": {"build": build}}
                assert arm.call("PUT", f"environments/{name}/versions/1", sent).status == 201

            submit(arm, "job", command="cat /built", environmentId=f"{arm.workspace}/environments/built/versions/1")
            submit(arm, "broken", command="true", environmentId=f"{arm.workspace}/environments/broken/versions/1")

            workspace = emulator.context.store.workspaces[0]
            for name in ("job", "broken"):
                eventually(lambda name=name: workspace.jobs[name].is_terminal, seconds=240)  # type: ignore[misc]
            assert [workspace.jobs[name].status for name in ("job", "broken")] == ["Completed", "Failed"]
            assert (workspace.jobs["job"].log_folder / "std_log.txt").read_text() == "of the context\n"
            assert "Image build failed" in str(workspace.jobs["broken"].error)

    def test_a_working_directory_that_is_not_the_images(self, launch: Launch) -> None:
        job = launch("pwd; touch it-can-be-written-to")

        assert run(job).succeeded
        assert log_source(job).startswith("/mnt/azureml/cr/j/")
        assert log_source(job).endswith("/exe/wd\n")

    def test_stdout_and_stderr_in_one_log_in_the_order_written(self, launch: Launch) -> None:
        job = launch("for i in $(seq 20); do echo $i; echo error $i >&2; done")

        run(job)

        assert log_source(job) == "".join(f"{i}\nerror {i}\n" for i in range(1, 21))

    def test_shared_memory_and_docker_arguments_as_asked_for(self, launch: Launch) -> None:
        job = launch(
            "df -B1 --output=size /dev/shm | tail -1; echo $FROM_ARGS; ulimit -n; hostname",
            shm_size="96m",
            docker_args="-e FROM_ARGS='of the arguments' --ulimit nofile=512:512 --hostname=node --gpus all",
        )

        assert run(job).succeeded
        assert log_source(job).split("\n") == [str(96 * 1024**2), "of the arguments", "512", "node", ""]

    def test_its_inputs_and_outputs_where_its_command_says(self, launch: Launch, tmp_path: Path) -> None:
        output = layout.data_folder(tmp_path / "jobs" / "job") / "model"
        job = launch(f"echo trained > {output}/weights")
        output.mkdir(parents=True)

        assert run(job).succeeded
        assert (output / "weights").read_text() == "trained\n"

    def test_what_an_evicted_one_has_saved_in_their_common_output(
        self, plain_image: str, engine: DockerClient, tmp_path: Path
    ) -> None:
        settings = Settings(compute_provisioning=0, job_preparation=0, job_finalization=0)
        with Emulator(tmp_path, runtime=DockerRuntime(tmp_path, grace=0), settings=settings) as emulator:
            arm = Arm(emulator)
            environment = {"properties": {"image": plain_image}}
            assert arm.call("PUT", "environments/plain/versions/1", environment).status == 201
            job = {"environmentId": f"{arm.workspace}/environments/plain/versions/1", "outputs": {"saved": SAVED}}

            submit(arm, "first", command='echo 20 > "$AZURE_ML_OUTPUT_saved/epoch"; sleep 600', **job)
            workspace = emulator.context.store.workspaces[0]
            saved = find_place(emulator.context.folder, workspace, SAVED["uri"]).file / "epoch"
            eventually(lambda: saved.exists() and saved.read_text(), seconds=120)
            arm_scenario(arm, "preempted", now=True)
            assert ended(arm, "first") == "Failed"
            submit(arm, "second", command='echo "$((1 + $(cat "$AZURE_ML_OUTPUT_saved/epoch")))"', **job)
            assert ended(arm, "second") == "Completed"

            *_, second = emulator.context.store.workspaces[0].jobs.values()
            assert (second.log_folder / "std_log.txt").read_text() == "21\n"
        assert containers(engine, tmp_path) == []

    def test_a_line_is_in_the_log_as_soon_as_it_is_printed(self, launch: Launch) -> None:
        job = launch("python3 -c \"import time; print('early'); time.sleep(60)\"")

        terminate_when_ready(job, ready="early", grace=0)


class TestNodes:
    def test_each_is_a_container_with_its_rank_and_its_log(self, launch: Launch) -> None:
        job = launch(
            "echo node $AZUREML_CR_NODE_RANK of $AZUREML_NODE_COUNT in $(hostname)",
            node_count=2,
            processes=LOGGED_APART,
        )

        assert run(job).succeeded
        logs = [file.read_text() for file in job.log_files]
        assert [log.split()[:2] for log in logs] == [["node", "0"], ["node", "1"]]
        assert logs[0].split()[-1] != logs[1].split()[-1]

    def test_when_one_fails_the_others_end(self, launch: Launch) -> None:
        job = launch(
            'if [ "$AZUREML_CR_NODE_RANK" = 1 ]; then exit 7; fi; sleep 600', node_count=2, processes=LOGGED_APART
        )

        began = time.monotonic()
        end = run(job, grace=0)

        assert end.exit_code == 7
        assert "user_logs/std_log_process_1.txt" in (end.message or "")
        assert time.monotonic() - began < 60

    def test_when_one_is_killed_the_others_end(self, launch: Launch) -> None:
        job = launch("echo ready; sleep 600", node_count=2, processes=LOGGED_APART)

        async def kill_the_second() -> JobEnd:
            runtime = DockerRuntime(job.folder.parents[1], grace=0)
            running = await runtime.start(job)
            waiting = asyncio.ensure_future(running.wait())
            await asyncio.to_thread(eventually, lambda: all("ready" in file.read_text() for file in job.log_files))
            await running.kill(1)
            end = await waiting
            await runtime.close()
            return end

        end = asyncio.run(kill_the_second())

        assert end.exit_code == 137
        assert "user_logs/std_log_process_1.txt" in (end.message or "")

    def test_those_of_several_jobs_meet_apart_in_the_machines_network(self, launch: Launch, tmp_path: Path) -> None:
        jobs = [
            launch(
                f"python3 -c {shlex.quote(MEET)}",
                name=name,
                node_count=2,
                processes=LOGGED_APART,
                environment={"JOB": name},
                docker_args="--network host",
            )
            for name in ("one", "two")
        ]

        async def run_both() -> list[JobEnd]:
            runtime = DockerRuntime(tmp_path)
            try:
                running = await asyncio.gather(*(runtime.start(job) for job in jobs))
                return await asyncio.gather(*(job.wait() for job in running))
            finally:
                await runtime.close()

        assert asyncio.run(run_both()) == [JobEnd(exit_code=0)] * 2
        assert [job.log_files[1].read_text() for job in jobs] == ["one\n", "two\n"]

    def test_without_a_distribution_all_write_to_one_log(self, launch: Launch) -> None:
        job = launch("echo node $AZUREML_CR_NODE_RANK", node_count=2, processes=job_processes(None, 2))

        assert run(job).succeeded
        assert sorted(log_source(job).splitlines()) == ["node 0", "node 1"]


class TestHowAJobEnds:
    def test_a_failure_is_worded_as_azure_ml_words_it_with_the_traceback(self, launch: Launch) -> None:
        end = run(launch("python -c 'print(1); raise SystemExit(1/0)'"))

        assert (end.exit_code, end.error_code) == (1, "UserError")
        assert end.message is not None
        assert end.message.startswith("Execution failed. User process 'python' exited with status code 1. ")
        assert end.message.endswith("ZeroDivisionError: division by zero")

    def test_one_that_needs_more_memory_than_its_vm_has_is_killed(self, launch: Launch) -> None:
        job = launch("python -c 'b = bytearray(512 * 1024**2)'; exit $?", memory_gb=0.0625)

        end = run(job)

        assert end.exit_code == 137
        assert "exited with status code 137" in (end.message or "")

    def test_one_that_runs_out_of_memory_has_reported_its_use_of_the_containers_limits(
        self, launch: Launch, tmp_path: Path
    ) -> None:
        (tmp_path / "signals").mkdir()
        command = ["python", "-m", "zenml_azureml.in_job", "python", "-c", FILL]
        job = launch(
            shlex.join(command),
            memory_gb=0.25,
            environment={"ZENML_AZUREML_JOB_SAMPLING": "1", "PYTHONPATH": "/package"},
            docker_args=f"-v {SOURCES}:/package:ro -v {tmp_path / 'signals'}:/signals --cpus 0.5",
        )

        def usages() -> list[Usage]:
            lines = log_source(job).splitlines() if job.log_file.exists() else []
            return [usage for line in lines if (usage := without_report(line)[1])]

        async def fill_when_it_was_sampled() -> JobEnd:
            runtime = DockerRuntime(job.folder.parents[1])
            try:
                running = await runtime.start(job)
                for _ in range(600):
                    if any((usage.peak(MEMORY) or 0) > 0.13 and CPU in usage.metrics for usage in usages()):
                        break
                    await asyncio.sleep(0.1)
                (tmp_path / "signals" / "go").touch()
                return await running.wait()
            finally:
                await runtime.close()

        end = asyncio.run(fill_when_it_was_sampled())

        assert end.exit_code == 137
        last = usages()[-1]
        assert last.metrics[MEMORY].limit == 0.25
        assert last.metrics[CPU].limit == 0.5
        assert 0.13 < last.metrics[MEMORY].peak <= 0.25

    def test_what_runs_in_the_background_ends_with_the_command(self, launch: Launch) -> None:
        assert run(launch("sleep 600 & setsid sleep 600 & echo started")) == JobEnd(exit_code=0)


class TestImagesThatCannotBeRun:
    def test_one_that_the_registry_does_not_have_fails_in_its_words(self, launch: Launch, registry: str) -> None:
        with pytest.raises(FailedError) as refusal:
            run(launch("true", image=f"{registry}/nothing:7"))

        assert refusal.value.code == "UserError"
        assert f"FailedPullingImage: Unable to pull docker image\n\timageName: {registry}/nothing:7" in str(
            refusal.value
        )
        assert f"manifest for {registry}/nothing:7 not found: manifest unknown" in str(refusal.value)

    def test_a_registry_that_does_not_answer_is_told_too(self, launch: Launch) -> None:
        with pytest.raises(FailedError, match="connection refused"):
            run(launch("true", image="127.0.0.1:1/nothing:7"))

    def test_one_that_only_this_machine_has_is_not_found(self, launch: Launch, engine: DockerClient) -> None:
        name = "127.0.0.1:1/only-here:1"
        engine.api.import_image_from_data(b"\0" * 10240, repository=name.rpartition(":")[0], tag="1")

        with pytest.raises(FailedError, match="FailedPullingImage"):
            run(launch("true", image=name))
        engine.images.remove(name)

    def test_one_for_another_architecture_fails_as_azure_ml_words_it(
        self, launch: Launch, engine: DockerClient, registry: str
    ) -> None:
        foreign = "s390x" if platform.machine() != "s390x" else "amd64"
        image = f"{registry}/foreign:1"
        engine.images.load(empty_image(image, foreign))
        push(engine, image)

        with pytest.raises(FailedError, match="exec format error"):
            run(launch("true", image=image))

    def test_docker_arguments_that_make_no_sense_are_told(self, launch: Launch) -> None:
        with pytest.raises(FailedError, match="unrecognized arguments: --no-such-option"):
            run(launch("true", docker_args="--no-such-option"))

    def test_what_the_engine_refuses_is_told_in_its_words(self, launch: Launch) -> None:
        with pytest.raises(FailedError, match="no-such-network"):
            run(launch("true", docker_args="--network no-such-network"))


def empty_image(name: str, architecture: str) -> bytes:
    """An image with nothing in it, as `docker save` would have it."""
    layer = b"\0" * 10240
    rootfs = {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(layer).hexdigest()}"]}
    configuration = {"architecture": architecture, "os": "linux", "config": {}, "rootfs": rootfs}
    manifest = [{"Config": "config.json", "RepoTags": [name], "Layers": ["layer.tar"]}]
    files = {
        "layer.tar": layer,
        "config.json": json.dumps(configuration).encode(),
        "manifest.json": json.dumps(manifest).encode(),
    }
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        for path, content in files.items():
            entry = tarfile.TarInfo(path)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    return archive.getvalue()


class TestTerminating:
    def test_a_job_is_asked_first_and_may_clean_up(self, launch: Launch) -> None:
        job = launch("trap 'echo cleaned up; exit 0' TERM; echo ready; sleep 600 & wait")

        end, seconds = terminate_when_ready(job, grace=60)

        assert end.exit_code == 0
        assert log_source(job) == "ready\ncleaned up\n"
        assert seconds < 30

    def test_what_does_not_listen_is_killed_after_the_grace_time(self, launch: Launch) -> None:
        job = launch("trap '' TERM; echo ready; while :; do sleep 1; done")

        end, seconds = terminate_when_ready(job, grace=1)

        assert end.exit_code == 137
        assert seconds < 30

    def test_closing_the_runtime_ends_every_job(self, launch: Launch, tmp_path: Path, engine: DockerClient) -> None:
        async def scenario() -> None:
            runtime = DockerRuntime(tmp_path)
            for name in ("a", "b"):
                await runtime.start(launch("sleep 600", name=name))
            assert len(containers(engine, tmp_path)) == 2
            await runtime.close()

        asyncio.run(scenario())


def terminate_when_ready(job: JobLaunch, *, grace: float, ready: str = "ready") -> tuple[JobEnd, float]:
    """Terminate a job once its log says so; its end, and the seconds that took."""

    async def scenario() -> tuple[JobEnd, float]:
        runtime = DockerRuntime(job.folder.parents[1], grace=grace)
        running = await runtime.start(job)
        waiting = asyncio.ensure_future(running.wait())
        await asyncio.to_thread(eventually, lambda: ready in log_source(job))
        began = time.monotonic()
        await running.terminate()
        seconds = time.monotonic() - began
        end = await waiting
        await runtime.close()
        return end, seconds

    return asyncio.run(scenario())
