"""The state of an earlier emulator of the same folder, given to a new one."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from urllib.parse import urlsplit

from zenml_azureml.emulator.local.state_folder import check_folders_of_jobs, clear_jobs
from zenml_azureml.emulator.persistence import records
from zenml_azureml.emulator.persistence.database import VERSIONS, Database, Key, delete_database
from zenml_azureml.emulator.persistence.interrupted import KILLED, end_interrupted
from zenml_azureml.emulator.persistence.journal import Journal
from zenml_azureml.emulator.services.arm.rbac import RoleAssignment
from zenml_azureml.emulator.state import Store, Workspace

_ADDRESS, _PORT = "address", "port"


def start_empty(folder: Path) -> None:
    """Delete what earlier emulators of a folder held: jobs, assets and outputs.

    Args:
        folder: A state folder that was claimed.

    Raises:
        StateFolderError: If another emulator has it, or a user has put a folder there.
        OSError: If the system does not let it be deleted.
    """
    check_folders_of_jobs(folder)  # first: with a folder of a user's, nothing is deleted
    delete_database(folder)
    clear_jobs(folder)


class Kept:
    """What the emulator before has left in its state folder, which no other emulator can use now.

    Args:
        folder: A state folder that was claimed.

    Attributes:
        port: The port that it listened on; 0 if there was none.

    Raises:
        StateFolderError: If another emulator has it, or the state cannot be read.
        OSError: If the system does not let it be read.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._database = Database(folder)
        try:
            self._facts = self._database.facts()
        except BaseException:
            self.close()
            raise
        port = self._facts.get(_PORT, "")
        self.port = int(port) if port.isdecimal() else 0

    def give(self, store: Store, address: str, port: int, now: datetime) -> Journal:
        """Give it to a new emulator, and have its state saved from now on.

        Args:
            store: What the new emulator holds: its workspaces and their key vaults, and nothing in them.
            address: Its URL.
            port: The port that it listens on.
            now: The time.

        Raises:
            StateFolderError: If the state cannot be read.
            OSError: If the system does not let it be read or written.
        """
        rows = self._database.objects()
        if not rows:
            clear_jobs(self._folder)  # of a version whose state did not last
        restored = _Restored(self._folder, store, self._facts.get(_ADDRESS, address), address)
        known: list[tuple[Key, str]] = []
        for key, text in rows:
            try:
                if restored.take(key, text):
                    known.append((key, text))
            except (AttributeError, KeyError, TypeError, ValueError) as error:
                what = " ".join(filter(None, key))
                raise self._database.damaged(f"the row `{what}` is {type(error).__name__}: {error}") from error
        restored.finish()
        journal = Journal(self._folder, self._database, store)
        for workspace in store.workspaces:
            journal.watch(workspace)
        end_interrupted(store, now, KILLED)
        journal.begin(known, {_ADDRESS: address, _PORT: str(port)})
        return journal

    def close(self) -> None:
        """Let other emulators use it."""
        self._database.close()


class _Restored:
    """Takes rows, the oldest first, and gives them to the objects of a new emulator."""

    def __init__(self, folder: Path, store: Store, before: str, address: str) -> None:
        self._folder = folder
        self._store = store
        self._workspaces = {workspace.path.lower(): workspace for workspace in store.workspaces}
        self._vaults = {vault.path.lower(): vault for vault in store.vaults}
        self._roles: list[RoleAssignment] = []
        self._subscriptions: set[str] = set()
        hosts = urlsplit(before).netloc, urlsplit(address).netloc
        self._changes = (
            []
            if before == address
            else [(f"{scheme}://{hosts[0]}/", f"{scheme}://{hosts[1]}/") for scheme in ("https", "azureml")]
        )

    def take(self, key: Key, text: str) -> bool:
        """Take a row; False if it belongs to a workspace that this emulator does not have."""
        if key.kind == "vault":
            if key.place in self._vaults:
                records.fill_vault(self._vaults[key.place], text)
            return key.place in self._vaults
        if key.kind == "registry":
            self._store.registries[key.name] = records.json_from(text)
        elif key.kind == "operation":
            self._store.operations[key.name] = records.operation_from(text, key.name)
        elif key.kind == "role":
            self._roles.append(records.role_from(text))
        elif key.place in self._workspaces:
            self._take_into(self._workspaces[key.place], key, text)
        else:
            return False
        return True

    def _take_into(self, workspace: Workspace, key: Key, text: str) -> None:
        for before, now in self._changes:
            text = text.replace(before, now)
        if key.kind == "workspace":
            records.fill_workspace(workspace, text)
            self._subscriptions.add(workspace.subscription_id.lower())
        elif key.kind == "job":
            if self._changes:
                workspace.looked_up.add(key.name.lower())
            workspace.add(records.job_from(text, key.name, self._folder / "jobs" / key.name))
        elif key.kind == "datastore":
            workspace.datastores[key.name] = records.datastore_from(text, key.name)
        elif key.kind == "compute":
            workspace.computes[key.name] = records.compute_from(text, key.name)
        elif key.kind.endswith(VERSIONS):
            container = workspace.assets_of(key.kind.removesuffix(VERSIONS))[key.name]
            container.versions[key.version] = records.version_from(text, key.name, key.version)
        else:
            workspace.assets_of(key.kind)[key.name] = records.container_from(text, key.name)

    def finish(self) -> None:
        """Give the saved roles; the application stays Owner of subscriptions that are new."""
        if self._subscriptions:
            new = [role for role in self._store.role_assignments if not self._is_known(role)]
            self._store.role_assignments[:] = [*self._roles, *new]

    def _is_known(self, role: RoleAssignment) -> bool:
        return any(role.covers(f"/subscriptions/{one}") for one in self._subscriptions)
