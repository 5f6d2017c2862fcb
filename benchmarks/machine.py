"""Where the numbers come from: the machine and the versions."""

from __future__ import annotations

import os
import platform
from importlib.metadata import version
from pathlib import Path

import psutil

_PACKAGES = ("zenml-azureml", "zenml", "azure-ai-ml", "azure-core", "azure-identity", "aiohttp")


def describe() -> str:
    """As a list in Markdown."""
    memory = psutil.virtual_memory().total / 2**30
    lines = [
        f"{_processor()}, {os.cpu_count()} cores, {memory:.0f} GiB; {platform.system()} {platform.machine()}",
        f"Python {platform.python_version()}",
        ", ".join(f"{name} {version(name)}" for name in _PACKAGES),
    ]
    return "\n".join(f"- {line}" for line in lines)


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or "unknown processor"
