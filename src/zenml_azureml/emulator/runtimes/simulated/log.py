"""Log of a simulated job, as defined by its environment variables."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from zenml_azureml.emulator.http.bounds import LONGEST_SECONDS, MOST_LINES, number_between


@dataclass(frozen=True)
class SimulatedLog:
    """The log of each process of a simulated job.

    Attributes:
        lines: Number of lines (`SIMULATE_LINES`).
        text: Of a line, with `{number}`, `{of}`, `{process}` and `{attempt}` (`SIMULATE_LINE`).
        line_end: Separator of two lines (`SIMULATE_LINE_END`): a carriage return makes a progress bar.
        log_end: Text after the last line (`SIMULATE_LOG_END`).
        lines_per_file: Number of lines before it continues in another file (`SIMULATE_LINES_PER_FILE`); 0 for no limit.
        delay: Seconds until the file of the first process appears, and each further one (`SIMULATE_LOG_DELAY`).
    """

    lines: int = 1
    text: str = "simulated line {number} of {of}"
    line_end: str = "\n"
    log_end: str = "\n"
    lines_per_file: int = 0
    delay: float = 0.0

    @classmethod
    def asked_for(cls, variables: Mapping[str, str], lines: int) -> SimulatedLog:
        """Return the log that a job's environment variables define.

        Args:
            variables: The variables.
            lines: Number of lines, unless the variables set it.

        Raises:
            ValueError: If one of them is not a number, or out of bounds.
        """
        per_file = variables.get("SIMULATE_LINES_PER_FILE", cls.lines_per_file)
        return cls(
            lines=int(number_between(variables.get("SIMULATE_LINES", lines), 0, MOST_LINES, "SIMULATE_LINES")),
            text=variables.get("SIMULATE_LINE", cls.text),
            line_end=variables.get("SIMULATE_LINE_END", cls.line_end),
            log_end=variables.get("SIMULATE_LOG_END", cls.log_end),
            lines_per_file=int(number_between(per_file, 0, MOST_LINES, "SIMULATE_LINES_PER_FILE")),
            delay=number_between(
                variables.get("SIMULATE_LOG_DELAY", cls.delay), 0, LONGEST_SECONDS, "SIMULATE_LOG_DELAY"
            ),
        )

    def write(self, number: int, first_file: Path, *, process: int, attempt: int) -> None:
        """Write a line, and what is after it.

        Args:
            number: Of the line, from 1.
            first_file: First file of the process's log.
            process: Number of the process, from 0.
            attempt: Number of the attempt, from 0.
        """
        line = self.text
        for name, value in {"number": number, "of": self.lines, "process": process, "attempt": attempt}.items():
            line = line.replace(f"{{{name}}}", str(value))
        end = self.log_end if number == self.lines else self.line_end
        with self._file(number, first_file).open("a", encoding="utf-8", newline="") as log:
            log.write(line + end)

    def _file(self, number: int, first: Path) -> Path:
        turn = (number - 1) // self.lines_per_file if self.lines_per_file else 0
        # Guess: no log of a user's process in several files is documented; the name is made up.
        return first.with_stem(f"{first.stem}_{turn}") if turn else first
