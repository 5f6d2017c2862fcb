"""State that lasts: what a new emulator reads equals what the one before held."""

from __future__ import annotations

import os
import shutil
import sqlite3
import tempfile
from collections.abc import Callable
from contextlib import closing
from dataclasses import fields, replace
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zenml_azureml.emulator.local.state_folder import StateFolderError, claim
from zenml_azureml.emulator.persistence.database import FILE
from zenml_azureml.emulator.persistence.journal import Journal
from zenml_azureml.emulator.persistence.restore import Kept, start_empty
from zenml_azureml.emulator.resources import AssetContainer, AssetVersion, Compute, Datastore, Job, Operation
from zenml_azureml.emulator.services.arm.rbac import RoleAssignment, role_named
from zenml_azureml.emulator.services.keyvault.store import DeletedSecret, SecretVersion, Vault
from zenml_azureml.emulator.state import Store, Workspace

#: A disk in memory, if there is one: a test makes hundreds of databases.
MEMORY = next((path for path in ("/dev/shm",) if os.access(path, os.W_OK)), None)
NOW = datetime(2026, 5, 1, 12, 0, 0, 123456, tzinfo=timezone.utc)
ADDRESS = "https://127.0.0.1:10443"


def new_store(name: str = "emulator") -> Store:
    """What an emulator holds when it starts."""
    place = ("sub", "group", name, "westeurope")
    workspace = Workspace(*place, created_at=NOW)
    vault = Vault("sub", "group", workspace.vault_name, "westeurope", NOW, "https://127.0.0.1:1")
    store = Store([workspace], [vault])
    store.make_owner("me")
    return store


def opened(folder: Path, store: Store, now: datetime = NOW, address: str = ADDRESS) -> Journal:
    """The journal of a new emulator, which has the state of the one before."""
    kept = Kept(claim(folder))
    try:
        return kept.give(store, address, 10443, now)
    except BaseException:
        kept.close()
        raise


def picture(found: Any) -> Any:
    """All that two stores must have in common, with the order of what they hold."""
    if isinstance(found, (Store, Workspace, Job, AssetContainer, AssetVersion, Datastore, Compute, Operation, Vault)):
        own = {
            "on_change",
            "looked_up",
            "removed",
            "_by_tag",
            "number",
            "machine_secret",
            "busy_nodes",
            "queue",
            "address",
        }
        own |= {"cancel_requested", "struck", "struck_by", "running"}
        shown = {one.name: picture(getattr(found, one.name)) for one in fields(found) if one.name not in own}
        if isinstance(found, Workspace):  # whose kinds of assets have no order
            shown["assets"] = {kind: picture(assets) for kind, assets in found.assets.items() if assets}
        return shown
    if isinstance(found, dict):
        return [(key, picture(value)) for key, value in found.items()]
    return [picture(one) for one in found] if isinstance(found, list) else found


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=4,
)
NAMES = st.sampled_from(["a", "b", "C", "d-1"])
TIMES = st.integers(-10_000, 10_000).map(lambda seconds: NOW + timedelta(seconds=seconds, microseconds=7))
KINDS = st.sampled_from(["environments", "data", "models", "codes", "components"])

Change = Callable[[Workspace, Store], None]


def _job(name: str, sent: Any, time: datetime, folder: Path) -> Job:
    properties = {"jobType": "Command", "tags": {"k": "v"}, "properties": {}, "sent": sent}
    return Job(name, properties, time, folder / "jobs" / name, started_at=time, ended_at=time + timedelta(1))


@st.composite
def changes(draw: st.DrawFn) -> Change:
    """One change of what an emulator holds."""
    name, sent, time, kind = draw(NAMES), draw(JSON), draw(TIMES), draw(KINDS)
    which = draw(
        st.sampled_from(
            ["job", "job", "tag", "end", "asset", "archive", "datastore", "compute", "vault", "rest", "delete"]
        )
    )

    def change(workspace: Workspace, store: Store) -> None:
        if which == "job" and workspace.find_job(name) is None:
            job = _job(name, sent, time, Path("/state"))
            job.output_assets["out"] = ("data", name, "1")
            job.log_files[(job.folder / "user_logs" / "std_log.txt", 7)] = time
            workspace.add(job)
            job.status, job.error, job.mlflow_run = "Failed", {"code": "UserError", "message": str(sent)}, name
        elif which == "tag" and (found := workspace.find_job(name)) is not None:
            found.properties["tags"] = {"k": sent}
        elif which == "end" and (ended := workspace.jobs.get(name.lower())) is not None:
            ended.status = "Completed"
            ended.properties["properties"]["EndTimeUtc"] = str(sent)
        elif which == "asset":
            container = workspace.assets_of(kind).setdefault(name, AssetContainer(name, time))
            container.versions[str(sent)] = AssetVersion(name, str(sent), {"sent": sent}, time, time)
        elif which == "archive" and name in workspace.assets_of(kind):
            found_asset = workspace.assets_of(kind)[name]
            found_asset.is_archived, found_asset.tags, found_asset.description = True, {"k": sent}, "old"
        elif which == "datastore":
            workspace.datastores[name] = Datastore(name, {"sent": sent}, time, time, {"key": "secret"})
            workspace.default_datastore = name
        elif which == "compute":
            workspace.computes.pop(name, None)
            body = {"properties": {"provisioningState": "Succeeded", "properties": {"sent": sent}}}
            workspace.computes[name] = Compute(name, body)
        elif which == "vault":
            version = SecretVersion(f"value {sent}", 1, 2, tags={"k": "v"}, expires=3)
            store.vaults[0].secrets.setdefault(name.lower(), []).append(version)
            store.vaults[0].names[name.lower()] = name
            store.vaults[0].deleted["gone"] = DeletedSecret([version], 5)
            store.vaults[0].access_policies.append({"sent": sent})
        elif which == "rest":
            role = role_named("Reader")
            assert role is not None
            store.registries[f"/{name}"] = {"sent": sent}
            store.operations[name] = Operation(name, "Succeeded", {"sent": sent})
            store.role_assignments.append(RoleAssignment(str(len(store.role_assignments)), f"/{name}", "you", role))
            workspace.tags, workspace.updated = {"k": "v"}, {"sent": sent}
        elif which == "delete":
            if (job_found := workspace.find_job(name)) is not None:
                workspace.remove(job_found)
            container_found = workspace.assets_of(kind).get(name)
            if container_found is not None:
                container_found.versions.pop(next(iter(container_found.versions), ""), None)
            workspace.datastores.pop(name, None)
            workspace.computes.pop(name, None)
            store.vaults[0].secrets.pop(name.lower(), None)
            del store.role_assignments[1:]

    return change


@settings(max_examples=30, deadline=None)
@given(st.lists(st.lists(changes(), max_size=8), max_size=4))
def test_what_is_read_back_equals_what_was_there(groups: list[list[Change]]) -> None:
    with tempfile.TemporaryDirectory(dir=MEMORY) as place:
        folder, store = Path(place) / "state", new_store()
        journal = opened(folder, store)
        for group in groups:
            for change in group:
                change(store.workspaces[0], store)
            journal.mark()
            journal.save()
            killed = Path(place) / "killed"  # what a process that is killed now leaves
            shutil.copytree(folder, killed)
            again = new_store()
            opened(killed, again).close()
            for workspace, other in zip(store.workspaces, again.workspaces, strict=True):
                for job in workspace.jobs.values():
                    moved = other.jobs[job.name.lower()]
                    assert moved.folder == killed.resolve() / "jobs" / job.name
                    expected = [(job.folder / "user_logs" / "std_log.txt").relative_to(job.folder)]
                    assert [file.relative_to(moved.folder) for file, _ in moved.log_files] == expected
                    moved.folder, moved.log_files = job.folder, job.log_files
            assert picture(again) == picture(store)
            shutil.rmtree(killed)
        journal.close()


def test_it_saves_what_has_changed_and_nothing_else(tmp_path: Path) -> None:
    store = new_store()
    journal = opened(tmp_path / "state", store)
    (workspace,) = store.workspaces
    for number in range(3):
        workspace.add(replace(_job(f"job-{number}", {}, NOW, tmp_path), status="Completed"))
    journal.mark()
    journal.save()
    before = (tmp_path / "state" / f"{FILE}-wal").stat().st_size

    journal.mark()
    journal.save()
    assert (tmp_path / "state" / f"{FILE}-wal").stat().st_size == before

    workspace.jobs["job-1"].status = "Failed"  # which marks it itself
    journal.save()
    assert (tmp_path / "state" / f"{FILE}-wal").stat().st_size > before


@pytest.mark.parametrize("clock", [timedelta(hours=1), timedelta(days=-400)], ids=["forward", "back"])
def test_jobs_that_were_not_over_are_failed_with_the_reason(tmp_path: Path, clock: timedelta) -> None:
    store = new_store()
    journal = opened(tmp_path / "state", store)
    (workspace,) = store.workspaces
    states = ("Completed", "Starting", "NotStarted", "Queued", "Preparing", "Running", "Finalizing", "CancelRequested")
    for state in states:
        job = _job(state, {}, NOW, tmp_path)
        job.ended_at = NOW if state == "Completed" else None
        job.properties["jobType"] = "Pipeline" if state == "NotStarted" else "Command"
        job.status = state
        workspace.add(job)
    journal.save()
    shutil.copytree(tmp_path / "state", tmp_path / "killed")

    again = new_store()
    opened(tmp_path / "killed", again, NOW + clock).close()

    jobs = {job.name: job for job in again.workspaces[0].newest_jobs(None)[::-1]}
    assert tuple(jobs) == states
    assert (jobs["Completed"].status, jobs["CancelRequested"].status) == ("Completed", "Canceled")
    for state in states[1:-1]:
        job = jobs[state]
        assert job.status == "Failed"
        assert job.error is not None
        assert job.error["code"] == "SystemError"
        assert f"killed, while the job was in the state {state}. Submit" in job.error["message"]
        assert job.error["component"] == ("Pipeline" if state == "NotStarted" else "CommonRuntime")
        assert job.ended_at is not None
        assert job.ended_at >= NOW
    assert jobs["Running"].properties["properties"]["EndTimeUtc"] >= "2026-05-01 12:00:00"


def test_computes_complete_what_they_were_doing(tmp_path: Path) -> None:
    store = new_store()
    journal = opened(tmp_path / "state", store)
    computes = store.workspaces[0].computes
    states = {"Deleting": "Steady", "Updating": "Resizing", "Succeeded": "Steady"}
    for state, allocation in states.items():
        inner = {"allocationState": allocation}
        computes[state] = Compute(state, {"properties": {"provisioningState": state, "properties": inner}})
    for state in ("Starting", "Stopping", "Restarting", "Stopped"):
        body = {"properties": {"provisioningState": "Succeeded", "properties": {"state": state}}}
        computes[state] = Compute(state, body, busy_nodes={"job": 1}, queue=["other"])
    store.operations["one"] = Operation("one")
    journal.mark()
    journal.close()

    again = new_store()
    opened(tmp_path / "state", again).close()

    found = again.workspaces[0].computes
    assert "Deleting" not in found
    assert {one.provisioning_state for one in found.values()} == {"Succeeded"}
    assert found["Updating"].inner["allocationState"] == "Steady"
    assert {name: found[name].inner["state"] for name in ("Starting", "Stopping", "Restarting", "Stopped")} == {
        "Starting": "Running",
        "Stopping": "Stopped",
        "Restarting": "Running",
        "Stopped": "Stopped",
    }
    assert not any(one.busy_nodes or one.queue for one in found.values())
    assert again.operations["one"].status == "Succeeded"


def test_addresses_follow_another_port(tmp_path: Path) -> None:
    store = new_store()
    journal = opened(tmp_path / "state", store)
    uris = {"codeUri": f"{ADDRESS}/account.blob.core.windows.net/c/p", "other": "https://127.0.0.1:1044/x"}
    store.workspaces[0].assets_of("codes")["code"] = AssetContainer("code", NOW)
    store.workspaces[0].assets_of("codes")["code"].versions["1"] = AssetVersion("code", "1", uris, NOW, NOW)
    journal.mark()
    journal.close()

    for port in (20443, 30443):
        again = new_store()
        opened(tmp_path / "state", again, address=f"https://127.0.0.1:{port}").close()

        (version,) = again.workspaces[0].assets["codes"]["code"].versions.values()
        assert version.properties == {
            "codeUri": f"https://127.0.0.1:{port}/account.blob.core.windows.net/c/p",
            "other": "https://127.0.0.1:1044/x",
        }


def test_a_workspace_of_another_name_begins_empty_and_the_first_one_stays(tmp_path: Path) -> None:
    first, second = new_store(), new_store("second")
    journal = opened(tmp_path / "state", first)
    first.workspaces[0].add(replace(_job("job", {}, NOW, tmp_path), status="Completed"))
    journal.close()

    opened(tmp_path / "state", second).close()
    assert not second.workspaces[0].jobs
    again = new_store()
    opened(tmp_path / "state", again).close()

    assert list(again.workspaces[0].jobs) == ["job"]
    assert again.workspaces[0].storage_key == first.workspaces[0].storage_key


def test_what_was_made_again_after_something_new_comes_after_it(tmp_path: Path) -> None:
    store = new_store()
    computes, body = store.workspaces[0].computes, {"properties": {"provisioningState": "Succeeded", "properties": {}}}
    journal = opened(tmp_path, store)
    computes["a"] = Compute("a", dict(body))
    journal.mark()
    journal.save()

    del computes["a"]
    computes["b"], computes["a"] = Compute("b", dict(body)), Compute("a", dict(body))
    journal.close()

    again = new_store()
    opened(tmp_path, again).close()
    assert list(again.workspaces[0].computes) == ["b", "a"]


def saved(folder: Path) -> bytes:
    """The bytes of a database with some jobs in it, which no process has open."""
    store = new_store()
    journal = opened(folder, store)
    for number in range(30):
        store.workspaces[0].add(replace(_job(f"job-{number}", "x" * 500, NOW, folder), status="Completed"))
    journal.close()
    return (folder / FILE).read_bytes()


def refused(folder: Path) -> str:
    """The refusal of a folder whose database stays as it is."""
    before = (folder / FILE).read_bytes()
    with pytest.raises(StateFolderError) as raised:
        opened(folder, new_store())
    assert (folder / FILE).read_bytes() == before
    assert "Nothing was changed.\nNext steps: " in str(raised.value)
    assert "--fresh" in str(raised.value)
    return str(raised.value)


@pytest.mark.parametrize(("version", "words"), [(2, "of a newer version"), (0, "of an older version")])
def test_a_database_of_another_version_is_refused(tmp_path: Path, version: int, words: str) -> None:
    saved(tmp_path)
    with closing(sqlite3.connect(tmp_path / FILE)) as connection:
        connection.execute(f"PRAGMA user_version={version}")
        connection.commit()

    assert f"{words} of zenml-azureml: its format is {version}, and this version reads 1" in refused(tmp_path)


@pytest.mark.parametrize(
    ("content", "words"),
    [(b"", "it is empty"), (b"nonsense" * 999, "file is not a database"), (b"SQLite format 3\0", "")],
)
def test_what_is_no_database_is_refused(tmp_path: Path, content: bytes, words: str) -> None:
    saved(tmp_path)
    (tmp_path / FILE).write_bytes(content)

    assert words in refused(tmp_path)


def test_a_database_that_has_lost_all_but_its_header_is_refused(tmp_path: Path) -> None:
    header = saved(tmp_path)[:72]
    (tmp_path / FILE).write_bytes(header)

    assert "malformed" in refused(tmp_path)


def test_a_database_whose_damage_sqlite_cannot_put_into_words_is_refused(tmp_path: Path) -> None:
    whole = saved(tmp_path)
    at = whole.index(b"sqlite_sequence") - 3
    (tmp_path / FILE).write_bytes(whole[:at] + b"\0\0\0\x80" + whole[at + 4 :])

    assert "can't decode" in refused(tmp_path)


def test_another_program_s_database_is_refused(tmp_path: Path) -> None:
    claim(tmp_path)
    with closing(sqlite3.connect(tmp_path / FILE)) as connection:
        connection.execute("CREATE TABLE mine (x)")

    assert "it was not written by an emulator" in refused(tmp_path)


@settings(max_examples=30, deadline=None)
@given(st.data())
def test_a_damaged_database_is_refused_or_read_as_it_was(data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory(dir=MEMORY) as place:
        folder = Path(place) / "state"
        whole = saved(folder)
        if data.draw(st.booleans()):
            content = whole[: data.draw(st.integers(0, len(whole) - 1))]
        else:
            at = data.draw(st.integers(0, len(whole) - 1))
            noise = data.draw(st.binary(min_size=1, max_size=600))
            content = whole[:at] + noise + whole[at + len(noise) :]
        (folder / FILE).write_bytes(content)

        refusal = start_error(folder)

        assert refusal is None or (folder / FILE).read_bytes() == content
        assert isinstance(refusal, (StateFolderError, OSError, type(None)))


def start_error(folder: Path) -> Exception | None:
    """The error with which an emulator does not start; None if it does."""
    try:
        opened(folder, new_store()).close()
    except Exception as error:  # noqa: BLE001 - the test says which one it may be
        return error
    return None


def test_a_row_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    saved(tmp_path)
    with closing(sqlite3.connect(tmp_path / FILE)) as connection:
        connection.execute("""UPDATE objects SET value='{"properties": {}}' WHERE name='job-7'""")
        connection.commit()

    assert "the row `/subscriptions/sub/resourcegroups/group" in (words := refused(tmp_path))
    assert "job job-7` is KeyError" in words


def test_two_emulators_do_not_share_a_folder(tmp_path: Path) -> None:
    journal = opened(tmp_path, new_store())

    for start in (lambda: opened(tmp_path, new_store()), lambda: start_empty(tmp_path)):
        with pytest.raises(StateFolderError, match="Another emulator serves from"):
            start()
    journal.close()

    opened(tmp_path, new_store()).close()
    start_empty(tmp_path)
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(FILE)]


def test_a_full_disk_is_reported_and_everything_is_saved_once_there_is_room(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = new_store()
    journal = opened(tmp_path, store)
    limit = journal._database._connection.execute
    ((pages,),) = limit("PRAGMA page_count").fetchall()
    limit(f"PRAGMA max_page_count={pages}")  # SQLite says of it what it says of a full disk
    for name in ("one", "two"):
        store.workspaces[0].add(replace(_job(name, "x" * 9_000, NOW, tmp_path), status="Completed"))
        journal.save()

    assert f"cannot use its state folder {tmp_path} ({tmp_path}/{FILE}): No space left on device." in journal.failure
    assert caplog.text.count("The state cannot be saved") == 1
    shutil.copytree(tmp_path, tmp_path.with_name("killed"))
    before = new_store()
    opened(tmp_path.with_name("killed"), before).close()
    assert not before.workspaces[0].jobs  # nothing half-written

    limit("PRAGMA max_page_count=1073741823")
    journal.save()
    assert journal.failure == ""
    journal.close()
    again = new_store()
    opened(tmp_path, again).close()
    assert list(again.workspaces[0].jobs) == ["one", "two"]


def test_a_deleted_secret_is_not_in_the_file(tmp_path: Path) -> None:
    store = new_store()
    journal = opened(tmp_path, store)
    store.vaults[0].secrets["key"] = [SecretVersion("dont-keep-me", 1, 1)]
    journal.mark()
    journal.save()
    store.vaults[0].secrets.clear()
    journal.mark()
    journal.close()

    assert not [path for path in tmp_path.iterdir() if path.is_file() and b"dont-keep-me" in path.read_bytes()]
