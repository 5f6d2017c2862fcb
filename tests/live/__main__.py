"""`make live` and `make live-clean`: the runner."""

from __future__ import annotations

import argparse
import contextlib
import io
import logging
import os
import secrets
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.live import cleaning, plugin, run
from tests.live.ledger import Ledger
from tests.live.plan import HOLD_MINUTES, MOST_HOLD_MINUTES, Needs, is_confirmed
from tests.live.target import Target, TargetError

ROOT = Path(__file__).parents[2]
#: Where runs keep what they have made, until it is deleted.
RUNS = Path(os.environ.get("LIVE_FOLDER") or ROOT / ".live")

#: Signals that end a run: Ctrl+C, `kill`, a closed terminal.
_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def main() -> int:
    """Run the tests, or delete what earlier runs have left; 0 if all went well."""
    parser = argparse.ArgumentParser(prog="make live", description="Runs tests on a real Azure ML workspace.")
    parser.add_argument("do", choices=["run", "clean"])
    parser.add_argument("--workspace", required=True, metavar="ID", help="ARM id of the workspace")
    parser.add_argument("--yes", action="store_true", help="do not ask")
    parser.add_argument("--record", type=Path, metavar="FOLDER", help="folder for recordings of all exchanges")
    parser.add_argument("--diff", action="store_true", help="compare the emulator with what was recorded")
    parser.add_argument("--tests", metavar="EXPRESSION", help="only these tests, as for `pytest -k`")
    parser.add_argument("--size", default="Standard_DS2_v2", metavar="SIZE", help="VM size of all jobs")
    parser.add_argument("--image", default="", help="image with zenml-azureml, for two nodes and secrets")
    parser.add_argument("--identity", default="", metavar="ID", help="ARM id of an identity that may read the vault")
    parser.add_argument(
        "--hold", type=_minutes, default=HOLD_MINUTES, metavar="MINUTES", help="how long a job waits that only waits"
    )
    parser.add_argument("--verified", type=Path, metavar="FILE", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    for number in _ENDING:
        signal.signal(number, signal.default_int_handler)
    try:
        target = Target.of(chosen.workspace, secrets.token_hex(3))
        if chosen.do == "clean":
            return clean(target, yes=chosen.yes)
        return start(target, chosen)
    except TargetError as error:
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("Nothing was created.", file=sys.stderr)
        return 130


def _minutes(text: str) -> int:
    minutes = int(text)
    if not 1 <= minutes <= MOST_HOLD_MINUTES:
        raise ValueError(text)
    return minutes


def start(target: Target, chosen: argparse.Namespace) -> int:
    """Announce, ask, run, and delete."""
    region = target.region
    prices = run.prices(target, chosen.size)
    needs = _collect(chosen.tests, image=bool(chosen.image), identity=bool(chosen.identity))
    if not needs:
        print("No test was chosen.", file=sys.stderr)
        return 2
    prepared = run.prepare(target, needs, chosen.size, prices, RUNS / target.run, chosen.hold)
    _, group, workspace = target.names
    print(prepared.plan.announcement(workspace, group, region, target.base_url, (run.TAG, target.run)), flush=True)
    if not chosen.yes and not _agreed():
        print("Nothing was created.", file=sys.stderr)
        return 1
    options = run.Options(
        record=chosen.record,
        diff=chosen.diff,
        tests=chosen.tests,
        size=chosen.size,
        image=chosen.image,
        identity=chosen.identity,
        hold=chosen.hold,
        verified=chosen.verified,
    )
    prepared.write()
    code = 130
    try:
        with contextlib.suppress(KeyboardInterrupt):
            code = run.tests_on_target(prepared, options)
    finally:
        logging.disable(logging.WARNING)  # its handlers may have streams of pytest's, which are closed
        with _uninterrupted():
            left = _delete(target, cleaning.find(target, [prepared.ledger], target.run))
            if not left:
                prepared.forget()
    if not left and chosen.diff and code != 130:
        code = max(code, run.compare_with_emulator(prepared, options))
    return code or (1 if left else 0)


def clean(target: Target, *, yes: bool) -> int:
    """Delete what earlier runs have left in a workspace, after a question."""
    ledgers = [Ledger(file) for file in sorted(RUNS.glob("*/ledger.jsonl"))]
    found = cleaning.find(target, ledgers)
    lines = list(found.lines())
    if not lines:
        print("Nothing is left.")
        return 0
    print("Left by earlier runs:", *lines, sep="\n  ", flush=True)
    if not yes and not _agreed("Delete all of it? [yes/no] "):
        print("Nothing was deleted.", file=sys.stderr)
        return 1
    with _uninterrupted():
        return 1 if _delete(target, found) else 0


def _delete(target: Target, found: cleaning.Found) -> list[str]:
    left = cleaning.delete(target, found, lambda line: print(line, flush=True))
    for line in left:
        print(f"Not deleted: {line}", file=sys.stderr)
    if left:
        print("`make live-clean` tries again.", file=sys.stderr)
    return left


def _agreed(question: str = "Continue? [yes/no] ") -> bool:
    print(question, end="", flush=True)
    return is_confirmed(sys.stdin.readline())


def _collect(tests: str | None, *, image: bool, identity: bool) -> dict[str, Needs]:
    """Return what the chosen tests create; those that lack an image or an identity are not chosen."""
    collector = plugin.Collector()
    with contextlib.redirect_stdout(io.StringIO()) as output:
        code = pytest.main(
            [*run.arguments(tests, image=image, identity=identity), "--collect-only", "-q"], plugins=[collector]
        )
    if code not in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED):
        print(output.getvalue(), file=sys.stderr)
        raise TargetError("The tests cannot be collected.")
    return collector.needs


@contextlib.contextmanager
def _uninterrupted() -> Iterator[None]:
    """Answer Ctrl+C and SIGTERM with a line, for the length of a `with`."""

    def say(_number: int, _frame: object) -> None:
        print("Deleting what was created; Ctrl+C has no effect until that is done.", file=sys.stderr, flush=True)

    before = {number: signal.signal(number, say) for number in _ENDING}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


if __name__ == "__main__":
    raise SystemExit(main())
