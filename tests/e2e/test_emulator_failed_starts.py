"""A start of an emulator that fails leaves the state of the emulator before as it was, and nothing half-made."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.contract.arm import Arm
from zenml_azureml.emulator import Emulator
from zenml_azureml.emulator.local import daemon, instance, serving
from zenml_azureml.emulator.local.instance import Options

#: Ways to make a start fail: each changes what the start finds, and returns the options of the start.
Obstacle = Callable[[Path, ExitStack], Options]


def taken(stack: ExitStack) -> int:
    """A port on which another program listens."""
    return int(stack.enter_context(socket.create_server(("127.0.0.1", 0))).getsockname()[1])


def busy_port(_: Path, stack: ExitStack) -> Options:
    return Options(port=taken(stack))


def busy_port_of_the_proxy(_: Path, stack: ExitStack) -> Options:
    return Options(port=taken(stack) - 1, proxy=True)


def busy_port_of_the_key_vault(_: Path, stack: ExitStack) -> Options:
    return Options(port=taken(stack) - 2, advertise="https://emulator.example")


def no_docker_engine(state: Path, stack: ExitStack) -> Options:
    patch = stack.enter_context(pytest.MonkeyPatch.context())
    patch.setenv("DOCKER_HOST", f"unix://{state}/no-engine.sock")
    return Options(port=0, runtime="docker")


def a_folder_of_a_user(state: Path, _: ExitStack) -> Options:
    (state / "mlflow").mkdir()
    (state / "mlflow/notes.txt").write_text("mine")
    return Options(port=0)


def a_damaged_file(name: str) -> Obstacle:
    def damage(state: Path, _: ExitStack) -> Options:
        (state / name).write_text("damaged")
        return Options(port=0)

    return damage


def a_full_disk(_: Path, stack: ExitStack) -> Options:
    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    patch = stack.enter_context(pytest.MonkeyPatch.context())
    patch.setattr("zenml_azureml.emulator.local.tls.write_private", fail)
    return Options(port=0)


def invalid_option(_: Path, __: ExitStack) -> Options:
    return Options(port=0, workspace_name="a/b")


OBSTACLES: dict[str, tuple[Obstacle, str]] = {
    "port": (busy_port, "Cannot listen on port"),
    "proxy": (busy_port_of_the_proxy, "its proxy's"),
    "key vault": (busy_port_of_the_key_vault, "its key vault's"),
    "engine": (no_docker_engine, "No Docker engine answers"),
    "user's folder": (a_folder_of_a_user, "was not made by an emulator"),
    "certificate": (a_damaged_file("ca.pem"), "ca.pem"),
    "key": (a_damaged_file("ca.key"), "ca.key"),
    "identity": (a_damaged_file("identity.json"), "identity.json"),
    "key of tokens": (a_damaged_file("token.key"), "token.key"),
    "disk": (a_full_disk, "No space left on device"),
    "option": (invalid_option, "--workspace"),
}

#: What any start may write, successful or not: its lock, and files that it makes from others.
WRITTEN = {"lock", "federated-token", "ca-bundle.pem", "curl.conf"}


def files(state: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(state)): path.read_bytes()
        for path in state.rglob("*")
        if path.is_file() and path.name not in WRITTEN
    }


@pytest.fixture(params=OBSTACLES)
def obstacle(request: pytest.FixtureRequest) -> tuple[Obstacle, str]:
    return OBSTACLES[request.param]


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """The state folder of an emulator that was used, and that was stopped."""
    state = tmp_path / "state"
    with Emulator(state, keep_state=True) as emulator:
        arm = Arm(emulator)
        path = f"{arm.workspace}/environments/kept/versions/1"
        assert arm.call("PUT", path, {"properties": {"image": "ubuntu"}}).status == 201
    (state / "jobs").mkdir(exist_ok=True)
    (state / "jobs/.zenml-azureml-emulator").touch()
    (state / "jobs/output.txt").write_text("kept")
    return state


@pytest.mark.parametrize("fresh", [True, False])
def test_a_start_that_fails_changes_nothing(
    state: Path, obstacle: tuple[Obstacle, str], stack: ExitStack, fresh: bool
) -> None:
    prepare, said = obstacle
    if prepare is a_folder_of_a_user and not fresh:
        pytest.skip("only a fresh start deletes folders")
    options = prepare(state, stack)
    options = Options(**{**vars(options), "fresh": fresh})
    before = files(state)

    with pytest.raises(instance.DaemonError, match=said) as raised:
        serving.serve(state, options)

    assert "Traceback" not in str(raised.value)
    assert files(state) == before
    assert daemon.find(state) is None


def test_a_start_with_an_invalid_option_makes_no_folder(tmp_path: Path) -> None:
    for start in (daemon.start, serving.serve):
        with pytest.raises(instance.DaemonError):
            start(tmp_path / "state", Options(listen="0.0.0.0"))

    assert not (tmp_path / "state").exists()


def test_after_a_failed_fresh_start_the_next_start_has_everything(state: Path, stack: ExitStack) -> None:
    with pytest.raises(instance.DaemonError):
        serving.serve(state, Options(port=taken(stack), fresh=True))

    with Emulator(state, keep_state=True) as emulator:
        arm = Arm(emulator)
        assert arm.call("GET", f"{arm.workspace}/environments/kept/versions/1").status == 200
    assert (state / "jobs/output.txt").read_text() == "kept"
