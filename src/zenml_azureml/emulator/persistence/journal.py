"""Keeps the database equal to what the emulator holds.

A change marks the journal: of a job's status, a request that may change something, the end of a background task. The
next turn of the event loop saves, in one transaction, each object that differs from what was saved of it. No answer
leaves before the marked changes are saved, so a client knows of nothing that a kill of the emulator undoes.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from operator import attrgetter
from pathlib import Path
from typing import Any, NamedTuple

from zenml_azureml.emulator.local.private_files import in_words
from zenml_azureml.emulator.local.state_folder import StateFolderError
from zenml_azureml.emulator.persistence.database import VERSIONS, Changes, Database, Key
from zenml_azureml.emulator.persistence.records import text_of
from zenml_azureml.emulator.state import Store, Workspace

#: Seconds after which a save that has failed is tried again.
_RETRY_SECONDS = 2.0

_WORKSPACE, _JOB = "workspace", "job"

_log = logging.getLogger(__name__)


class _Held(NamedTuple):
    """An object that the emulator holds.

    Attributes:
        found: The object.
        sign: Equal as long as the object certainly has not changed; None if only its text says.
    """

    found: Any
    sign: object = None


@dataclass(frozen=True)
class _Saved:
    """What the database has of an object: the object, its sign, and a hash of its text.

    The object is kept so that no later one can be taken for it.
    """

    found: Any
    sign: object
    digest: bytes


class Journal:
    """The state of one emulator in its database. For the emulator's event loop only.

    Args:
        folder: The state folder.
        database: Its database.
        store: What the emulator holds.

    Attributes:
        failure: Reason why the state cannot be saved at the moment; empty if it can.
    """

    def __init__(self, folder: Path, database: Database, store: Store) -> None:
        self._folder = folder
        self._database = database
        self._store = store
        self._saved: dict[Key, _Saved] = {}
        self._saved_jobs: dict[Key, bytes] = {}
        self._facts: dict[str, str] = {}
        self._unsaved = Changes()
        self._is_marked = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._next: asyncio.Handle | None = None
        self.failure = ""

    def begin(self, restored: Iterable[tuple[Key, str]], facts: Mapping[str, str]) -> None:
        """Save what the emulator holds now, and save each change from now on.

        Args:
            restored: The rows of the database that are objects of this emulator, in their order.
            facts: Facts about the emulator as a whole.

        Raises:
            OSError: If it cannot be saved.
        """
        for key, text in restored:
            if key.kind == _JOB:
                self._saved_jobs[key] = _digest(text)
            else:
                self._saved[key] = _Saved(None, None, _digest(text))
        self._facts = dict(facts)
        self._save()

    @property
    def unsaved(self) -> frozenset[tuple[Key, str]]:
        """The changes that could not be saved so far; empty if all are."""
        gone = [(Key(place, _WORKSPACE), "") for place in self._unsaved.emptied]
        return frozenset([*gone, *((key, "") for key in self._unsaved.deleted), *self._unsaved.written])

    def watch(self, workspace: Workspace) -> None:
        """Note the changes of a workspace's jobs, all of which may differ from what was saved."""
        workspace.on_change = self.mark
        for job in workspace.jobs.values():
            job.on_change = workspace.note

    def set_loop(self, loop: asyncio.AbstractEventLoop) -> None:
        """Save marked changes on this event loop, on which the emulator serves."""
        self._loop = loop

    def mark(self) -> None:
        """Have changes saved in the next turn of the event loop."""
        self._is_marked = True
        if self._next is None and self._loop is not None:
            self._next = self._loop.call_soon(self.save)

    def save(self) -> None:
        """Save the marked changes now. If that fails, `failure` says why, and it is tried again."""
        if self._next is not None:
            self._next.cancel()
            self._next = None
        if not self._is_marked:
            return
        try:
            self._save()
            self._is_marked = False
            if self.failure:
                _log.warning("The state is saved again.")
            self.failure = ""
        except (OSError, StateFolderError, ValueError) as error:
            failure = in_words(error, self._folder) if isinstance(error, OSError) else str(error)
            if failure != self.failure:
                _log.error("The state cannot be saved, and will be tried again: %s", failure)
            self.failure = failure
            if self._loop is not None and not self._loop.is_closed():
                self._next = self._loop.call_later(_RETRY_SECONDS, self.save)

    def close(self) -> None:
        """Save the last changes, and close the database."""
        self._is_marked = True
        self.save()
        if self._next is not None:
            self._next.cancel()
        self._loop = None
        self._database.close()

    def _save(self) -> None:
        held = dict(_held(self._store))
        changes = Changes(facts=self._facts)
        changes.emptied = [key.place for key in held if key.kind == _WORKSPACE and key not in self._saved]
        changed = self._compare(held, changes)
        changed_jobs = self._compare_jobs(changes)
        self._unsaved = changes
        if changes:
            self._database.write(changes)
        self._unsaved = Changes()
        self._facts = {}
        for key in changes.deleted:
            self._saved.pop(key, None)
            self._saved_jobs.pop(key, None)
        self._saved.update(changed)
        self._saved_jobs.update(changed_jobs)
        for workspace in self._store.workspaces:
            workspace.looked_up.clear()
            workspace.removed.clear()

    def _compare(self, held: Mapping[Key, _Held], changes: Changes) -> dict[Key, _Saved]:
        """Add to the changes what differs from what was saved; return what will be saved then."""
        changes.deleted += [key for key in self._saved if key not in held]
        moved = _moved([key for key in self._saved if key in held], held)
        changes.deleted += moved
        changed: dict[Key, _Saved] = {}
        for key, (found, sign) in held.items():
            before = self._saved.get(key)
            is_known = before is not None and before.found is found and sign is not None and before.sign == sign
            if is_known and key not in moved:
                continue
            text = text_of(found)
            digest = _digest(text)
            if before is None or before.digest != digest or key in moved:
                changes.written.append((key, text))
            changed[key] = _Saved(found, sign, digest)
        return changed

    def _compare_jobs(self, changes: Changes) -> dict[Key, bytes]:
        """Do the same with the jobs that were looked up: there may be thousands of others."""
        changed: dict[Key, bytes] = {}
        for workspace in self._store.workspaces:
            place = workspace.path.lower()
            gone = {key for name in workspace.removed if (key := Key(place, _JOB, name)) in self._saved_jobs}
            changes.deleted += gone
            found = [job for name in workspace.looked_up if (job := workspace.jobs.get(name)) is not None]
            for job in sorted(found, key=attrgetter("number")):
                key, text = Key(place, _JOB, job.name), text_of(job)
                digest = _digest(text)
                if key in gone or self._saved_jobs.get(key) != digest:
                    changes.written.append((key, text))
                    changed[key] = digest
        # Jobs of workspaces that were removed while the emulator runs.
        places = {key.place for key in changes.deleted if key.kind == _WORKSPACE}
        changes.deleted += [key for key in self._saved_jobs if key.place in places] if places else []
        return changed


def _digest(text: str) -> bytes:
    return blake2b(text.encode(), digest_size=16).digest()


def _moved(before: Sequence[Key], now: Iterable[Key]) -> set[Key]:
    """Return the keys that were deleted and added again: they come after those of their group that have stayed.

    Args:
        before: All that were saved and are still held, in the order of the database.
        now: All that are held, new ones too, in their order.
    """
    saved = set(before)
    groups: dict[tuple[str, str, str], list[Key]] = {}
    with_new: set[tuple[str, str, str]] = set()
    moved = set()
    for key in now:
        if key not in saved:
            with_new.add(key.group)
        elif key.group in with_new:
            moved.add(key)
        else:
            groups.setdefault(key.group, []).append(key)
    rest = {group: iter(keys) for group, keys in groups.items()}
    expected = {group: next(keys) for group, keys in rest.items()}
    for key in before:
        if key in moved:
            continue
        if key == expected[key.group]:
            expected[key.group] = next(rest[key.group], key)
        else:
            moved.add(key)
    return moved


def _held(store: Store) -> Iterator[tuple[Key, _Held]]:
    """Yield what the emulator holds beside jobs: of each kind the oldest first."""
    for workspace in store.workspaces:
        yield from _in_workspace(workspace)
    for vault in store.vaults:
        yield Key(vault.path.lower(), "vault"), _Held(vault)
    for name, registry in store.registries.items():
        yield Key("", "registry", name), _Held(registry)
    for operation in store.operations.values():
        yield Key("", "operation", operation.id), _Held(operation, operation.status)
    for role in store.role_assignments:
        yield Key("", "role", f"{role.name} {role.scope.lower()}"), _Held(role, "frozen")


def _in_workspace(workspace: Workspace) -> Iterator[tuple[Key, _Held]]:
    place = workspace.path.lower()
    yield Key(place, _WORKSPACE), _Held(workspace)
    for kind, containers in workspace.assets.items():
        for one in containers.values():
            sign = (one.description, one.tags, one.properties, one.is_archived)
            yield Key(place, kind, one.name), _Held(one, sign)
            for version in one.versions.values():
                yield (
                    Key(place, f"{kind}{VERSIONS}", one.name, version.version),
                    _Held(version, (version.properties, version.modified_at)),
                )
    for datastore in workspace.datastores.values():
        yield Key(place, "datastore", datastore.name), _Held(datastore)
    for compute in workspace.computes.values():
        yield Key(place, "compute", compute.name), _Held(compute)
