"""`zenml-azureml emulator`, as a user types it: real processes, the real SDK, a real shell."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import certifi
import psutil
import pytest
import trustme

from tests.escaping import assert_gone, escape
from tests.https_server import https_server
from zenml_azureml.cli.emulator_start import start
from zenml_azureml.emulator import WorkspaceName
from zenml_azureml.emulator.local import daemon, instance, serving, shell_env
from zenml_azureml.emulator.runtimes.process.tree import is_keeper, processes_of

#: The environment of commands: the test's own, without what other tests or the machine may have set.
CLEAN = {name: value for name, value in os.environ.items() if not name.startswith(("ZENML_", "AZURE", "REQUESTS_"))}


def cli(*arguments: str | Path, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "zenml_azureml.cli", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, env=env or CLEAN, timeout=120, check=False)


def emulator(verb: str, state: Path, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return cli("emulator", verb, "--state", state, *arguments)


def started(state: Path, *arguments: str) -> instance.Running:
    done = emulator("start", state, "--port", "0", *arguments)
    assert done.returncode == 0, done.stderr
    running = daemon.find(state)
    assert running is not None
    return running


@pytest.fixture
def state(tmp_path: Path) -> Iterator[Path]:
    """A state folder that no process uses any more after the test."""
    folder = (tmp_path / "state").resolve()
    yield folder
    daemon.stop(folder)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The state folder of one that runs, for tests that do not change it."""
    folder = tmp_path_factory.mktemp("running").resolve() / "state"
    started(folder)
    yield folder
    daemon.stop(folder)


Submit = Callable[[instance.Running, str], str]


@pytest.fixture
def submit(monkeypatch: pytest.MonkeyPatch) -> Submit:
    """Submits a command through the SDK; gives the job's name once the job runs."""

    def submit_and_wait_until_it_runs(running: instance.Running, command: str) -> str:
        from azure.ai.ml import MLClient
        from azure.ai.ml import command as command_job
        from azure.ai.ml.entities import Environment
        from azure.identity import DefaultAzureCredential

        for name, value in shell_env.variables(running, running.ca_bundle, {}).items():
            monkeypatch.setenv(name, value)
        options = running.options
        client = MLClient(
            DefaultAzureCredential(), options.subscription_id, options.resource_group, options.workspace_name
        )
        job = client.jobs.create_or_update(
            command_job(command=command, environment=Environment(name="any", version="1", image="any"))
        )
        wait_until(lambda: client.jobs.get(job.name).status not in {"Starting", "Preparing", "Queued"})
        return str(job.name)

    return submit_and_wait_until_it_runs


def wait_until(condition: Callable[[], bool], seconds: float = 240) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.05)


def is_alive(pid: int) -> bool:
    """Whether a process runs: one that has ended, but that nobody has asked about yet, does not."""
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


class TestStartingAndStopping:
    def test_it_serves_when_start_returns_and_not_any_more_when_stop_does(self, state: Path) -> None:
        running = started(state)

        status = json.loads(emulator("status", state, "--json").stdout)
        assert status.pop("uptime_seconds") < 60
        assert status == {
            "running": True,
            "state": str(state),
            "endpoint": running.base_url,
            "proxy": None,
            "pid": running.pid,
            "subscription_id": running.options.subscription_id,
            "resource_group": "emulator",
            "workspace_name": "emulator",
            "jobs": {},
            "computes": [],
            "not_saved": None,
        }

        stopped = emulator("stop", state)

        assert (stopped.returncode, stopped.stdout) == (0, f"Stopped the emulator of {state}.\n")
        wait_until(lambda: not is_alive(running.pid))
        assert emulator("status", state).returncode == 1

    def test_starting_twice_starts_one(self, state: Path) -> None:
        running = started(state)

        again = emulator("start", state)

        assert (again.returncode, again.stdout) == (
            0,
            f"The emulator is already running: {running.base_url} (process {running.pid}).\n",
        )

    @pytest.mark.parametrize(
        ("given", "ignored"),
        [
            (["--runtime", "docker", "--port", "0", "--cloud", "AzureChinaCloud"], "--runtime, --cloud"),
            (["--port", "12443", "--python", sys.executable, "--proxy"], "--port, --proxy"),
            (["--workspace", "other", "--python", "image=/bin/sh"], "--python, --workspace"),
            (["--subscription", "a", "--resource-group", "b"], "--subscription, --resource-group"),
            (["--foreground", "--location", "northeurope"], "--location, --foreground"),
            (["--workspace", "emulator", "--runtime", "process"], ""),
        ],
    )  # fmt: skip
    def test_options_that_a_running_one_ignores_are_named(self, running: Path, given: list[str], ignored: str) -> None:
        again = emulator("start", running, *given)

        told = again.stdout.splitlines()[1:]
        assert again.returncode == 0
        expected = f"It ignores {ignored}. To use other options, stop it first: zenml-azureml emulator stop --state "
        assert told == ([f"{expected}{running}"] if ignored else [])

    def test_without_options_a_workspace_has_one_address(self) -> None:
        defaults = {parameter.name: parameter.default for parameter in start.params}
        options, name = instance.Options(), WorkspaceName()

        assert options.subscription_id == name.subscription_id == defaults["subscription"]
        assert options.resource_group == name.resource_group == defaults["resource_group"]
        assert options.workspace_name == name.name == defaults["workspace"]
        assert options.location == name.location == defaults["location"]

    def test_starting_twice_at_the_same_moment_starts_one(self, state: Path) -> None:
        found: list[instance.Running] = []
        threads = [
            threading.Thread(target=lambda: found.append(daemon.start(state, instance.Options()))) for _ in range(3)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert len({running.pid for running in found}) == 1
        assert len(found) == 3

    def test_two_states_are_two_emulators(self, state: Path, tmp_path: Path) -> None:
        first = started(state)
        second = started(tmp_path / "other", "--workspace", "other")
        try:
            assert first.base_url != second.base_url
            assert daemon.stop(state)
            status = json.loads(emulator("status", tmp_path / "other", "--json").stdout)
            assert status["workspace_name"] == "other"
        finally:
            daemon.stop(tmp_path / "other")

    def test_certificates_and_credentials_outlive_a_restart(self, state: Path) -> None:
        first = started(state)
        ca = first.ca_file.read_text()
        daemon.stop(state)

        second = started(state)

        assert (second.client_id, second.ca_file.read_text()) == (first.client_id, ca)

    def test_a_port_that_is_taken_is_said_with_a_way_out(self, state: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            done = emulator("start", state, "--port", str(port))

        assert done.returncode == 1
        assert f"Cannot listen on port {port}" in done.stderr
        assert "--port 0" in done.stderr
        assert "Traceback" not in done.stderr

    def test_an_interpreter_that_is_none_is_refused(self, state: Path, tmp_path: Path) -> None:
        done = emulator("start", state, "--python", f"image:1={tmp_path / 'missing'}")

        assert done.returncode == 2
        assert "is not an executable file" in done.stderr
        assert not state.exists()

    @pytest.mark.parametrize(
        "options",
        [
            *(("--workspace", name) for name in ("", "../x", "a\nb", "a/b", "x" * 91, "é")),
            *(
                ("--location", "a b"),
                ("--resource-group", "?"),
                ("--subscription", "#"),
                ("--port", "65535", "--proxy"),
            ),
        ],
    )
    def test_a_name_that_no_address_can_have_is_refused_in_a_sentence(self, state: Path, options: list[str]) -> None:
        defaults = instance.Options()
        names = dict(zip(options[::2], options[1::2], strict=False))

        with pytest.raises(instance.DaemonError, match=options[0]):
            serving.serve(
                state,
                instance.Options(
                    port=int(names.get("--port", 0)),
                    proxy="--proxy" in options,
                    subscription_id=names.get("--subscription", defaults.subscription_id),
                    resource_group=names.get("--resource-group", defaults.resource_group),
                    workspace_name=names.get("--workspace", defaults.workspace_name),
                    location=names.get("--location", defaults.location),
                ),
            )

    def test_a_full_or_broken_disk_is_a_sentence(self, state: Path) -> None:
        started(state)
        daemon.stop(state)
        (state / "ca-bundle.pem").unlink()
        (state / "ca-bundle.pem").mkdir()

        done = emulator("start", state, "--port", "0")

        assert done.returncode == 1
        assert "The emulator cannot use its state folder" in done.stderr
        assert "Traceback" not in done.stderr
        (state / "ca-bundle.pem").rmdir()

    def test_the_foreground_ends_with_an_interrupt(self, state: Path) -> None:
        command = [sys.executable, "-m", "zenml_azureml.cli", "emulator", "start", "--state", str(state)]
        process = psutil.Popen([*command, "--port", "0", "--foreground"], stdout=subprocess.PIPE, env=CLEAN)
        assert process.stdout.readline().startswith(b"Azure ML emulator: https://127.0.0.1:")

        process.send_signal(2)

        assert process.wait(30) == 0
        assert daemon.find(state) is None

    def test_a_record_that_a_killed_emulator_left_misleads_nobody(self, state: Path) -> None:
        running = started(state)
        record = (state / "emulator.json").read_text()
        psutil.Process(running.pid).kill()
        wait_until(lambda: daemon.find(state) is None)
        # The worst case: its process id now is somebody else's.
        (state / "emulator.json").write_text(record.replace(str(running.pid), str(os.getpid())))

        assert emulator("status", state).returncode == 1
        assert emulator("stop", state).stdout == f"No emulator runs in {state}.\n"
        assert started(state).pid != os.getpid()

    def test_all_of_it_is_in_the_state_folder_and_only_for_its_owner(self, state: Path, tmp_path: Path) -> None:
        home = tmp_path / "home"
        home.mkdir()

        done = cli("emulator", "start", "--state", state, "--port", "0", env={**CLEAN, "HOME": str(home)})

        assert done.returncode == 0
        assert list(home.rglob("*")) == []
        assert state.stat().st_mode & 0o777 == 0o700


class TestJobs:
    def test_stopping_ends_every_process_of_every_job(self, state: Path, submit: Submit) -> None:
        pid_file = state.parent / "pid"
        submit(
            started(state), f"sleep 600 & setsid --fork sleep 600; {escape(pid_file)}; touch {state.parent}/on; wait"
        )
        wait_until((state.parent / "on").exists)
        assert processes_of(state)

        emulator("stop", state)

        assert processes_of(state) == []
        assert_gone(pid_file)

    def test_a_terminated_emulator_ends_every_process_of_every_job(self, state: Path, submit: Submit) -> None:
        running, pid_file = started(state), state.parent / "pid"
        submit(running, f"{escape(pid_file)}; touch {state.parent}/on; sleep 600")
        wait_until((state.parent / "on").exists)

        process = psutil.Process(running.pid)
        process.terminate()
        process.wait(240)

        assert processes_of(state) == []
        assert_gone(pid_file)

    @pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux has subreapers")
    def test_a_job_that_kills_its_keeper_ends_with_the_emulator(self, state: Path, submit: Submit) -> None:
        pid_file = state.parent / "pid"
        submit(started(state), f"{escape(pid_file)}; touch {state.parent}/on; kill -9 $PPID; sleep 600")
        wait_until((state.parent / "on").exists)

        emulator("stop", state)

        assert processes_of(state) == []
        assert_gone(pid_file)

    @pytest.mark.parametrize("verb", ["start", "stop"])
    def test_what_a_killed_emulator_left_running_is_ended_next_time(
        self, state: Path, submit: Submit, verb: str
    ) -> None:
        running = started(state)
        pid_file = state.parent / "pid"
        submit(running, f"{escape(pid_file)}; touch {state.parent}/on; sleep 600")
        wait_until((state.parent / "on").exists)
        for process in filter(is_keeper, processes_of(state)):
            process.suspend()  # which else ends them itself
        psutil.Process(running.pid).kill()
        wait_until(lambda: daemon.find(state) is None)
        assert processes_of(state)

        emulator(verb, state, *(["--port", "0"] if verb == "start" else []))

        assert processes_of(state) == []
        assert_gone(pid_file)

    def test_its_log_is_printed_and_followed_to_its_end(self, state: Path, submit: Submit, tmp_path: Path) -> None:
        go_on = tmp_path / "go-on"
        job = submit(started(state), f"echo first; until [ -e {go_on} ]; do sleep 0.05; done; echo last")
        wait_until(lambda: emulator("logs", state, job).stdout == "first\n")
        command = [sys.executable, "-m", "zenml_azureml.cli", "emulator", "logs", "--state", str(state), "-f", job]

        following = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=CLEAN)
        assert following.stdout is not None
        assert following.stdout.readline() == "first\n"
        go_on.touch()

        assert following.communicate(timeout=30)[0] == "last\n"
        assert following.returncode == 0

    def test_a_stopped_one_is_reported_with_the_log_that_it_left(self, state: Path, submit: Submit) -> None:
        job = submit(started(state, "--runtime", "simulated"), "true")
        before = emulator("logs", state, job)
        emulator("stop", state)

        after = [emulator("logs", state, job), emulator("logs", state, "-f", job)]
        unknown = emulator("logs", state, "other")

        assert before.stderr == ""
        for done in after:
            assert (done.returncode, done.stdout) == (0, before.stdout)
            assert done.stderr == f"No emulator runs in {state}: this is the log of a job of its last run.\n"
        assert unknown.returncode == 1
        assert unknown.stderr == (
            f"Error: No emulator runs in {state}, and its last run left no job `other`. Start one: "
            f"zenml-azureml emulator start --state {state}\n"
        )

    def test_a_log_is_followed_until_the_emulator_is_stopped(self, state: Path, submit: Submit) -> None:
        job = submit(started(state), "echo first; sleep 600")
        command = [sys.executable, "-m", "zenml_azureml.cli", "emulator", "logs", "--state", str(state), "-f", job]
        following = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=CLEAN)
        assert following.stdout is not None
        assert following.stdout.readline() == "first\n"

        emulator("stop", state)

        _, told = following.communicate(timeout=60)
        assert (following.returncode, told) == (0, f"The emulator of {state} was stopped.\n")

    def test_an_unknown_job_has_no_log(self, state: Path) -> None:
        started(state)

        done = emulator("logs", state, "../jobs")

        assert done.returncode == 1
        assert "There is no job `../jobs`" in done.stderr

    def test_the_status_counts_them(self, state: Path, submit: Submit) -> None:
        submit(started(state), "sleep 600")

        assert json.loads(emulator("status", state, "--json").stdout)["jobs"] == {"Running": 1}


SCRIPT = """
import os
from azure.ai.ml import MLClient
from azure.identity import DefaultAzureCredential

client = MLClient(
    DefaultAzureCredential(),
    os.environ["AZUREML_ARM_SUBSCRIPTION"],
    os.environ["AZUREML_ARM_RESOURCEGROUP"],
    os.environ["AZUREML_ARM_WORKSPACE_NAME"],
)
print(client.workspaces.get(os.environ["AZUREML_ARM_WORKSPACE_NAME"]).location)
"""


class TestTheShell:
    def test_an_unmodified_script_finds_it_and_other_hosts_are_still_trusted(self, state: Path, tmp_path: Path) -> None:
        started(state, "--location", "swedencentral")
        script = tmp_path / "script.py"
        script.write_text(SCRIPT)
        theirs = trustme.CA()
        theirs.cert_pem.write_to_path(tmp_path / "theirs.pem")
        run = f"{sys.executable} -m zenml_azureml.cli emulator env --state {state}"
        with https_server(theirs) as other_host:
            program = textwrap.dedent(
                f"""
                set -eu
                export REQUESTS_CA_BUNDLE={tmp_path / "theirs.pem"} AZURE_CLIENT_SECRET=hush
                env | sort > {tmp_path / "before"}
                eval "$({run})"
                {sys.executable} {script}
                {sys.executable} -c 'import requests; print(requests.get("{other_host}").text)'
                cp "$REQUESTS_CA_BUNDLE" {tmp_path / "bundle"}
                eval "$({run} --unset)"
                env | sort > {tmp_path / "after"}
                """
            )
            done = subprocess.run(["/bin/bash", "-c", program], env=CLEAN, capture_output=True, text=True, check=False)

        assert done.returncode == 0, done.stderr
        assert done.stdout == "swedencentral\nthe other host\n"
        assert Path(certifi.where()).read_text() in (tmp_path / "bundle").read_text()
        assert (tmp_path / "after").read_text() == (tmp_path / "before").read_text()

    @pytest.mark.parametrize(("options", "warned"), [([], True), (["--proxy"], False)])
    def test_clients_that_still_reach_azure_are_named_where_there_is_no_proxy(
        self, state: Path, options: list[str], warned: bool
    ) -> None:
        started(state, *options)

        printed = emulator("env", state).stdout

        comments = [line for line in printed.splitlines() if line.startswith("#")]
        assert [("Azure CLI" in line, "--proxy" in line) for line in comments] == [(True, True)] * warned

    def test_behind_its_proxy_it_is_found_at_azures_own_addresses(self, state: Path) -> None:
        running = started(state, "--proxy")
        run = f"{sys.executable} -m zenml_azureml.cli emulator env --state {state}"
        script = (
            "import requests; from azure.identity import EnvironmentCredential as Credential;"
            "token = Credential().get_token('https://management.azure.com/.default').token;"
            "headers = {'Authorization': f'Bearer {token}'};"
            "url = 'https://management.azure.com/subscriptions?api-version=2022-12-01';"
            "print(requests.get(url, headers=headers).json()['value'][0]['displayName'])"
        )
        program = f"""
            set -eu
            env | sort > {state}/before
            eval "$({run} --sign-in client-secret)"
            {sys.executable} -c "{script}"
            eval "$({run} --unset)"
            env | sort | diff {state}/before -
        """
        done = subprocess.run(["/bin/bash", "-c", program], env=CLEAN, capture_output=True, text=True, check=False)

        assert (done.returncode, done.stdout) == (0, "Emulator\n"), done.stderr
        assert json.loads(emulator("status", state, "--json").stdout)["proxy"] == running.proxy_url

    def test_the_proxy_is_on_the_next_port_and_a_taken_one_is_said(self, state: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            done = emulator("start", state, "--port", str(port - 1), "--proxy")

        assert done.returncode == 1
        assert f"Cannot listen on port {port - 1} or {port}, its proxy's" in done.stderr

    def test_without_an_emulator_nothing_is_set_and_the_way_to_start_one_is_said(self, state: Path) -> None:
        done = emulator("env", state)

        assert (done.returncode, done.stdout) == (1, "")
        assert f"zenml-azureml emulator start --state {state}" in done.stderr


def test_the_command_line_is_there_at_once() -> None:
    slow = "{'zenml', 'azure', 'aiohttp', 'rich', 'psutil'}"
    program = f"import sys, zenml_azureml.cli; print({slow} & {{name.split('.')[0] for name in sys.modules}})"

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert done.stdout == "set()\n"


class TestScenarios:
    def test_they_are_listed_and_the_next_job_meets_the_one_that_was_asked_for(
        self, state: Path, submit: Submit
    ) -> None:
        running = started(state, "--runtime", "simulated")

        listed = emulator("scenario", state)
        (preempted,) = [line for line in listed.stdout.splitlines() if line.startswith("preempted ")]
        assert "  Azure preempts the low-priority node" in preempted
        known = json.loads(emulator("scenario", state, "--json").stdout)
        assert {one["name"] for one in known} >= {"preempted", "exit-code"}
        armed = emulator("scenario", state, "exit-code", "--jobs", ".", "--times", "2")

        assert (armed.returncode, armed.stdout) == (0, "The next 2 jobs of `.`: exit-code.\n")
        submit(running, "echo")
        wait_until(lambda: json.loads(emulator("status", state, "--json").stdout)["jobs"] == {"Failed": 1})
        for_a_program = json.loads(emulator("scenario", state, "quota", "--json").stdout)
        assert for_a_program == {"name": "quota", "jobs": "", "times": 1, "after": 0.0, "now": False, "fired": 0}

    def test_one_that_does_not_exist_is_refused_with_those_that_do(self, state: Path) -> None:
        started(state)

        refused = emulator("scenario", state, "flood")

        assert refused.returncode == 1
        assert "there is no scenario 'flood': there are image-pull-refused, " in refused.stderr

    @pytest.mark.parametrize(
        ("given", "meant"),
        [
            ("exit-cod", "exit-code"),
            ("Exit_Code", "exit-code"),
            ("qouta", "quota"),
            ("premepted", "preempted"),
            ("image pull refused", "image-pull-refused"),
            ("pull-refused", "image-pull-refused"),
        ],
    )
    def test_of_a_misspelt_one_the_nearest_is_named(self, running: Path, given: str, meant: str) -> None:
        refused = emulator("scenario", running, given)

        assert refused.returncode == 1
        assert f"there is no scenario {given!r}: did you mean {meant!r}? There are " in refused.stderr
