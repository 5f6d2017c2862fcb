"""How many bytes are read to follow a log of 10 MB."""

from __future__ import annotations

import io
import threading
from contextlib import redirect_stdout
from typing import Any

from benchmarks.bench import Bench
from benchmarks.home import operator, sdk_client, step_run_infos, submit
from benchmarks.table import Row

_LINE = "x" * 999


def measure(bench: Bench) -> list[Row]:
    lines, duration = (100, 2) if bench.quick else (10_000, 40)
    job = {"SIMULATE_SECONDS": str(duration), "SIMULATE_LINES": str(lines), "SIMULATE_LINE": _LINE}
    ours = operator("ours", "logs")
    infos = step_run_infos(2)
    names = [submit(ours, info, job) for info in infos]
    # Logged, but not shown: the table is.
    waiting = threading.Thread(target=ours.wait, args=[infos[0].step_run])
    waiting.start()
    _stream(ours, names[1])
    waiting.join()
    size = lines * (len(_LINE) + 1)
    served = bench.emulator.call("GET", "/_emulator/requests")
    read = [sum(entry["bytes_sent"] for entry in served if _is_log(entry, name)) / size for name in names]
    return [
        Row(
            f"bytes read to follow a log of {size / 1e6:.0f} MB, times its size (1 run; built-in: the SDK's stream, as "
            "the built-in operator shows no log)",
            f"{read[1]:.2f}",
            f"{read[0]:.3f}",
            "at most 1.02",
            read[0] <= 1.02,
        )
    ]


def _is_log(entry: dict[str, Any], job: str) -> bool:
    return job in entry["path"] and "user_logs" in entry["path"]


def _stream(step_operator: Any, job: str) -> None:
    client = sdk_client(step_operator)
    with redirect_stdout(io.StringIO()):
        client.jobs.stream(job)
