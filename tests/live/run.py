"""One run: the tests on the target, the same on an emulator, and their differences."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

import pytest
from scripts.emulated_operations import operation_named

from tests.live import beside, difference, plugin, recorder, verified, wire
from tests.live.guard import prices_in
from tests.live.ledger import Ledger
from tests.live.plan import Needs, Plan
from tests.live.target import FOLDER, RUN, TAG, WORKSPACE, Target, TargetError

#: What the tests read of the options.
SIZE = "AZURE_VERIFIED_SIZE"
IMAGE = "AZURE_VERIFIED_IMAGE"
IDENTITY = "AZURE_VERIFIED_IDENTITY"
HOLD = "AZURE_VERIFIED_HOLD"

_ROOT = Path(__file__).parents[2]
_FOLDERS = ("tests/contract", "tests/live")


@dataclass(frozen=True)
class Options:
    """What a user has chosen."""

    record: Path | None
    diff: bool
    tests: str | None
    size: str
    image: str
    identity: str
    hold: int
    verified: Path | None


@dataclass(frozen=True)
class Run:
    """A run that is announced.

    Attributes:
        target: The workspace.
        plan: What it creates.
        prices: US dollars an hour by VM size.
        folder: Where it keeps what it makes.
        key: Key of the references in its recordings.
        tests: Names of its tests.
    """

    target: Target
    plan: Plan
    prices: Mapping[str, float]
    folder: Path
    key: str
    tests: tuple[str, ...]

    @property
    def ledger(self) -> Ledger:
        """What it has made."""
        return Ledger(self.folder / "ledger.jsonl")

    def write(self, folder: Path | None = None) -> None:
        """Write what the processes of the run read."""
        where = folder or self.folder
        where.mkdir(parents=True, exist_ok=True)
        limits = {"most_jobs": self.plan.jobs, "most_minutes": self.plan.most_minutes}
        content = {"prices": self.prices, "region": self.target.region, **limits}
        (where / "plan.json").write_text(json.dumps(content))

    def forget(self) -> None:
        """Delete the ledger, when everything in it is deleted."""
        self.ledger.file.unlink(missing_ok=True)


def prices(target: Target, size: str) -> dict[str, float]:
    """Return the prices of the workspace's region.

    Raises:
        TargetError: If they cannot be read, or the size is too expensive.
    """
    subscription = target.names[0]
    provider = f"/subscriptions/{subscription}/providers/Microsoft.MachineLearningServices"
    answer = target.send("GET", f"{provider}/locations/{target.region}/vmSizes")
    if answer.status_code != 200:
        raise TargetError(f"The prices of VM sizes cannot be read: {answer.status_code} {answer.text[:500]}")
    found = prices_in(answer.json())
    try:
        Plan.of([], size, found)
    except ValueError as error:
        raise TargetError(str(error)) from error
    return found


def prepare(
    target: Target, needs: Mapping[str, Needs], size: str, known: Mapping[str, float], folder: Path, hold: int
) -> Run:
    """Return a run with its plan.

    Args:
        target: The workspace.
        needs: What each test creates.
        size: VM size of all nodes.
        known: Prices of the region.
        folder: Where the run keeps what it makes.
        hold: Minutes for which a job waits.
    """
    return Run(target, Plan.of(needs.values(), size, known, hold), known, folder, secrets.token_hex(16), tuple(needs))


def arguments(tests: str | None, *, image: bool, identity: bool) -> list[str]:
    """Return pytest's arguments for the chosen tests."""
    mark = plugin.MARKER + ("" if image else " and not needs_image") + ("" if identity else " and not needs_identity")
    chosen = ["-k", tests] if tests else []
    own = ["-p", "tests.live.plugin", "-p", "no:cacheprovider", "-p", "no:xdist", "--rootdir", str(_ROOT)]
    return [*own, "-c", str(_ROOT / "pyproject.toml"), "-m", mark, *chosen, *_files()]


def _files() -> list[str]:
    """Return the files that have tests with the marker: others need not be imported."""
    files = [file for folder in _FOLDERS for file in sorted((_ROOT / folder).glob("test_*.py"))]
    return [str(file) for file in files if f"mark.{plugin.MARKER}" in file.read_text(encoding="utf-8")]


def tests_on_target(run: Run, options: Options) -> int:
    """Run the tests on the target, and keep their dates if it is Azure; 0 if all have passed."""
    os.environ.update(_variables(run, options, run.folder))
    record = options.record or (run.folder / "recordings" if options.diff else None)
    if record:
        for test in run.tests:  # of an earlier run
            shutil.rmtree(record / recorder.folder_of(test), ignore_errors=True)
        os.environ |= {wire.RECORD: str(record), wire.KEY: run.key}
    outcomes = plugin.Outcomes()
    chosen = arguments(options.tests, image=bool(options.image), identity=bool(options.identity))
    code = pytest.main([*chosen, "-q"], plugins=[outcomes])
    for line in _refused(run.folder):
        print(f"Not recorded: {line}", flush=True)
    file = options.verified or (verified.FILE if run.target.is_azure else None)
    if file is not None:
        today = datetime.now(timezone.utc).date()
        verified.write(verified.updated(verified.read(file), outcomes.passed, _used(run.folder), today), file)
    if code == pytest.ExitCode.INTERRUPTED:
        return 130
    return 0 if code == pytest.ExitCode.OK and not _refused(run.folder) else 1


def compare_with_emulator(run: Run, options: Options) -> int:
    """Run the same tests on an emulator, and print what it answers otherwise; 0 if nothing but what is declared."""
    with tempfile.TemporaryDirectory(prefix="live-") as temporary:
        folder = Path(temporary)
        with beside.emulator(folder / "emulator", run.target.names, run.target.region) as running:
            beside.let_use_vault(running, run.target.workspace_id, options.identity)
            run.write(folder)
            environment = beside.environment(running, os.environ)
            environment |= _variables(run, options, folder)
            environment |= {wire.RECORD: str(folder / "recordings"), wire.KEY: run.key}
            chosen = arguments(options.tests, image=bool(options.image), identity=bool(options.identity))
            done = subprocess.run(
                [sys.executable, "-m", "pytest", *chosen, "-q", "--tb=short"],
                env=environment, cwd=_ROOT, capture_output=True, text=True, check=False,
            )  # fmt: skip
        if done.returncode not in (0, 1):
            print(done.stdout, done.stderr, sep="\n")
            return 1
        if done.returncode:
            print(f"Tests that failed on the emulator:\n{done.stdout[-4000:]}", flush=True)
        recorded = recorder.read(options.record or run.folder / "recordings")
        mine = recorder.read(folder / "recordings")
        found = difference.differences(recorded, mine)
        print(difference.table(found, sum(map(len, recorded.values()))), flush=True)
        if options.record is None:
            shutil.rmtree(run.folder / "recordings", ignore_errors=True)
        return 1 if done.returncode or any(not one.reason for one in found) else 0


def _variables(run: Run, options: Options, folder: Path) -> dict[str, str]:
    return {
        WORKSPACE: run.target.workspace_id,
        RUN: run.target.run,
        FOLDER: str(folder),
        SIZE: options.size,
        IMAGE: options.image,
        IDENTITY: options.identity,
        HOLD: str(options.hold),
    }


def _refused(folder: Path) -> list[str]:
    file = folder / "refused.txt"
    return file.read_text(encoding="utf-8").splitlines() if file.exists() else []


def _used(folder: Path) -> dict[str, set[str]]:
    """Return the operations that each test has used."""
    found: dict[str, set[str]] = {}
    file = folder / "operations.jsonl"
    for line in file.read_text(encoding="utf-8").splitlines() if file.exists() else []:
        test, method, path = json.loads(line)
        if operation := operation_named(method, path):
            found.setdefault(test, set()).add(operation)
    return found


__all__ = [
    "HOLD",
    "IDENTITY",
    "IMAGE",
    "SIZE",
    "TAG",
    "Options",
    "Run",
    "arguments",
    "compare_with_emulator",
    "prepare",
]
