"""The database of a state folder: one row for each object, written in transactions.

`state.db` is of SQLite, in WAL mode: a transaction is in it as a whole or not at all, however the emulator ends. With
`synchronous=NORMAL` a commit is not flushed to the disk: the system has it, so it survives `kill -9`. A crash of the
machine may lose the last changes, and never damages the file. The lock on it is exclusive, and ends with the process.
"""

from __future__ import annotations

import errno
import os
import sqlite3
from collections.abc import Mapping
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from zenml_azureml.emulator.local.state_folder import StateFolderError

FILE = "state.db"

#: Format of the rows: another one for each change that older or newer versions cannot read.
FORMAT = 1

#: Marks the file as an emulator's (`PRAGMA application_id`): the letters "zaml".
_APPLICATION = 0x7A616D6C

_TABLES = """
CREATE TABLE facts (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE objects (
    position INTEGER PRIMARY KEY AUTOINCREMENT,
    place TEXT NOT NULL,
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    version TEXT NOT NULL,
    value TEXT NOT NULL,
    UNIQUE (place, kind, name, version)
);
"""

#: What SQLite says of the system, as numbers of the system: before Python 3.11 it has no codes.
_SYSTEM_ERRORS = {
    "database or disk is full": errno.ENOSPC,
    "readonly database": errno.EROFS,
    "unable to open database file": errno.EACCES,
    "disk I/O error": errno.EIO,
}

#: What SQLite raises; the latter if its own message quotes bytes of a damaged file.
_ERRORS = (sqlite3.DatabaseError, UnicodeDecodeError)

#: End of the kinds of rows that are versions of assets.
VERSIONS = "/versions"


class Key(NamedTuple):
    """Key of a row.

    Attributes:
        place: ARM id in lower case of the workspace or key vault that the object belongs to; empty for none.
        kind: Kind of the object, e.g. `job`.
        name: Its name among those.
        version: Its version; empty for what has none.
    """

    place: str
    kind: str
    name: str = ""
    version: str = ""

    @property
    def group(self) -> tuple[str, str, str]:
        """The objects whose order is kept are those of one group: of one kind, and of one asset."""
        return self.place, self.kind, self.name if self.kind.endswith(VERSIONS) else ""


@dataclass
class Changes:
    """Changes of the database, made in this order.

    Attributes:
        emptied: Places of which all rows are deleted.
        deleted: Keys of rows to delete.
        written: Rows to add or change.
        facts: Facts to add or change.
    """

    emptied: list[str] = field(default_factory=list)
    deleted: list[Key] = field(default_factory=list)
    written: list[tuple[Key, str]] = field(default_factory=list)
    facts: Mapping[str, str] = field(default_factory=dict)

    def __bool__(self) -> bool:
        """True if there are any."""
        return any((self.emptied, self.deleted, self.written, self.facts))


class Database:
    """The open database of a state folder.

    Args:
        folder: The state folder; it exists.

    Raises:
        StateFolderError: If it is another emulator's at this moment, damaged, or of another version.
        OSError: If the system does not let it be read or written.
    """

    def __init__(self, folder: Path) -> None:
        self._file = folder / FILE
        if not self._file.exists():
            _create(self._file)
        # Another thread than this one may serve later; only one uses it at a time.
        self._connection = sqlite3.connect(self._file, timeout=0, isolation_level=None, check_same_thread=False)
        try:
            self._prepare()
        except _ERRORS as error:
            self._connection.close()
            raise _in_words(error, self._file) from error
        except StateFolderError:
            self._connection.close()
            raise

    def _prepare(self) -> None:
        run = self._connection.execute
        run("PRAGMA locking_mode=EXCLUSIVE")
        run("BEGIN EXCLUSIVE")  # refused while another emulator has it
        ((application,),) = run("PRAGMA application_id").fetchall()
        ((version,),) = run("PRAGMA user_version").fetchall()
        if not self._file.stat().st_size:
            raise self.damaged("it is empty")
        if application != _APPLICATION:
            raise self.damaged("it was not written by an emulator")
        if version != FORMAT:
            raise self._other_version(version)
        # Before the first statement that writes: what is refused stays as it is.
        found = run("PRAGMA quick_check(1)").fetchall()
        if found != [("ok",)]:
            raise self.damaged(str(found[0][0]))
        run("COMMIT")
        run("PRAGMA journal_mode=WAL")
        run("PRAGMA synchronous=NORMAL")
        run("PRAGMA secure_delete=ON")  # of deleted secrets nothing stays

    def facts(self) -> dict[str, str]:
        """Return the facts about the emulator as a whole, by name."""
        return dict(self._read("SELECT name, value FROM facts"))

    def objects(self) -> list[tuple[Key, str]]:
        """Return all rows, in the order of their creation; versions of assets after the assets."""
        rows = self._read(
            "SELECT place, kind, name, version, value FROM objects ORDER BY kind LIKE '%/versions', position"
        )
        return [(Key(*key), value) for *key, value in rows]

    def write(self, changes: Changes) -> None:
        """Write changes: all of them or, with an error, none.

        Raises:
            OSError: If the system does not let them be written.
            StateFolderError: If the database is damaged.
        """
        try:
            with self._connection:
                self._connection.execute("BEGIN")
                many = self._connection.executemany
                many("DELETE FROM objects WHERE place=?", [(place,) for place in changes.emptied])
                many("DELETE FROM objects WHERE place=? AND kind=? AND name=? AND version=?", changes.deleted)
                many(
                    "INSERT INTO objects (place, kind, name, version, value) VALUES (?, ?, ?, ?, ?) "
                    "ON CONFLICT (place, kind, name, version) DO UPDATE SET value=excluded.value",
                    [(*key, value) for key, value in changes.written],
                )
                many("INSERT OR REPLACE INTO facts VALUES (?, ?)", changes.facts.items())
        except _ERRORS as error:
            raise _in_words(error, self._file) from error

    def close(self) -> None:
        """Close it, and give its lock back."""
        with suppress(sqlite3.Error):
            self._connection.close()

    def damaged(self, why: str) -> StateFolderError:
        """Return the refusal of a database that cannot be read."""
        return _damaged(self._file, why)

    def _other_version(self, version: int) -> StateFolderError:
        age = "a newer" if version > FORMAT else "an older"
        return StateFolderError(
            f"The state in {self._file} is of {age} version of zenml-azureml: its format is {version}, and this "
            f"version reads {FORMAT}. Nothing was changed.\n"
            "Next steps: use that version, name another folder with `--state`, or start with `--fresh`, which deletes "
            "all jobs, assets and outputs of this folder."
        )

    def _read(self, statement: str) -> list[Any]:
        try:
            return self._connection.execute(statement).fetchall()
        except _ERRORS as error:
            raise _in_words(error, self._file) from error


def _create(file: Path) -> None:
    """Create an empty database, of which no part is ever seen."""
    _remove_orphans(file)
    partial = file.with_name(f".{file.name}.{os.getpid()}")
    partial.unlink(missing_ok=True)
    os.close(os.open(partial, os.O_CREAT | os.O_RDWR, 0o600))
    try:
        with closing(sqlite3.connect(partial, isolation_level=None)) as connection:
            connection.execute("PRAGMA journal_mode=OFF")
            connection.execute(f"PRAGMA application_id={_APPLICATION}")
            connection.execute(f"PRAGMA user_version={FORMAT}")
            connection.executescript(_TABLES)
        partial.replace(file)
    except _ERRORS as error:
        raise _in_words(error, file) from error
    finally:
        partial.unlink(missing_ok=True)


def _in_words(error: Exception, file: Path) -> Exception:
    if "locked" in str(error):
        return in_use(file.parent)
    for words, number in _SYSTEM_ERRORS.items():
        if words in str(error):
            return OSError(number, os.strerror(number), str(file))
    return _damaged(file, str(error))


def _damaged(file: Path, why: str) -> StateFolderError:
    return StateFolderError(
        f"The emulator cannot read its state in {file}: {why}. Nothing was changed.\n"
        "Next steps: restore the file from a copy, name another folder with `--state`, or start with `--fresh`, "
        "which deletes all jobs, assets and outputs of this folder."
    )


def in_use(folder: Path) -> StateFolderError:
    """Return the refusal of a folder that another emulator uses."""
    return StateFolderError(f"Another emulator serves from {folder}.")


def delete_database(folder: Path) -> None:
    """Delete the database of a state folder, with what belongs to it.

    Args:
        folder: The state folder.

    Raises:
        StateFolderError: If another emulator has it open.
        OSError: If it cannot be deleted.
    """
    file = folder / FILE
    if file.exists():
        with closing(sqlite3.connect(file, timeout=0, isolation_level=None)) as connection:
            try:
                connection.execute("BEGIN EXCLUSIVE")
            except _ERRORS as error:  # a damaged one is deleted too
                if "locked" in str(error):
                    raise in_use(folder) from error
            file.unlink()
    _remove_orphans(file)


def _remove_orphans(file: Path) -> None:
    """Remove the files beside a database that was deleted: SQLite would take them for those of the next one."""
    if not file.exists():
        for suffix in ("-wal", "-shm", "-journal"):
            file.with_name(f"{file.name}{suffix}").unlink(missing_ok=True)
