"""The folder by which held jobs and the suite speak with each other: see `held_jobs.py`."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

from tests.chaos.held_jobs import OVER, RELEASE


class Desk:
    """The suite's side of it.

    Args:
        folder: Of the worker.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "desk"

    @property
    def release_file(self) -> Path:
        """What real jobs look for."""
        return self.folder / RELEASE

    def clear(self) -> None:
        """Begin with the next schedule; the jobs of the last one are gone."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir()

    def release(self) -> None:
        """Let the jobs come to their ends, those that are made from now on too."""
        self.release_file.touch()

    def end_hold(self, job: str) -> None:
        """Let the time be over for which a job is held open."""
        (self.folder / f"{OVER}{job}").touch()

    def reports(self) -> Iterator[tuple[str, int, bool]]:
        """The steps whose ends are to be reported, each until `reported`: exit code, and whether a failure is held."""
        for report in self.folder.glob("report-*"):
            try:
                text = report.read_text()
            except FileNotFoundError:  # its job was ended
                continue
            if text:
                exit_code, _, held = text.partition(" ")
                yield report.name.removeprefix("report-"), int(exit_code), held == "held"

    def reported(self, step_run_id: str) -> None:
        """Let the job of a step go on whose end was reported."""
        (self.folder / f"report-{step_run_id}").unlink(missing_ok=True)

    def written(self) -> dict[tuple[str, int], int]:
        """How many lines each process of each job that has ended has logged, by the job's name and the rank."""
        file = self.folder / "written.txt"
        lines = file.read_text().splitlines() if file.exists() else []
        return {(name, int(rank)): int(number) for name, rank, number in (line.split() for line in lines)}
