"""GPU readings, parsed from outputs of `nvidia-smi` and `rocm-smi` as public reports show them.

- name, "[N/A]" and "[Not Supported]": https://github.com/enkore/i3pystatus/pull/776
- "[Unknown Error]": https://github.com/Quake4/MindMiner/issues/627
- rocm-smi with `--json`: https://github.com/marimo-team/marimo/issues/9237
"""

from __future__ import annotations

import json
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.contract.waiting import eventually
from zenml_azureml.contract.usage import GPU, GPU_MEMORY
from zenml_azureml.in_job.sampler.gpu import GpuReading, Gpus, nvidia_reading, rocm_readings, samples_of
from zenml_azureml.in_job.sampler.recorder import Sample

ROCM = {
    "card0": {
        "GPU use (%)": "7",
        "VRAM Total Memory (B)": "21458059264",
        "VRAM Total Used Memory (B)": "27856896",
        "Card Series": "Radeon RX 7900 XT",
        "Card Model": "0x744c",
        "GFX Version": "gfx1100",
    }
}


@pytest.mark.parametrize(
    ("line", "number", "reading"),
    [
        ("0, Tesla T4, 23, 5120, 15360", "0", GpuReading("Tesla T4", 23, 5.0, 15.0)),
        ("3, NVIDIA A100 80GB PCIe, 0, 0, 81920\n", "3", GpuReading("NVIDIA A100 80GB PCIe", 0, 0.0, 80.0)),
        # A part of a GPU (MIG) has no use of its own.
        ("1, NVIDIA H100 NVL, [N/A], 1024, 95830", "1", GpuReading("NVIDIA H100 NVL", None, 1.0, 95830 / 1024)),
        ("0, GeForce GT 710, [Not Supported], 0, 2048", "0", GpuReading("GeForce GT 710", None, 0.0, 2.0)),
        (
            "0, GeForce RTX 2080 Ti, 100, [Unknown Error], 11264",
            "0",
            GpuReading("GeForce RTX 2080 Ti", 100, None, 11.0),
        ),
        ("0, GRID A10-4Q, N/A, N/A, N/A", "0", GpuReading("GRID A10-4Q", None, None, None)),
        ("0, a name, with a comma, 5, 1024, 2048", "0", GpuReading("a name, with a comma", 5, 1.0, 2.0)),
    ],
)
def test_a_line_of_nvidia_smi(line: str, number: str, reading: GpuReading) -> None:
    assert nvidia_reading(line) == (number, reading)


@pytest.mark.parametrize(
    "line",
    [
        "",
        "No devices were found",
        "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver. Make sure that the latest "
        "NVIDIA driver is installed and running.",
        "Failed to initialize NVML: Driver/library version mismatch",
        "Unable to determine the device handle for GPU 0000:01:00.0: GPU is lost.  Reboot the system to recover",
        "index, name, utilization.gpu [%], memory.used [MiB], memory.total [MiB]",
        'Field "utilization.gpu" is not a valid field to query.',
    ],
)
def test_messages_of_nvidia_smi_are_no_readings(line: str) -> None:
    assert nvidia_reading(line) is None


@given(st.text())
def test_no_output_makes_a_parser_fail(text: str) -> None:
    nvidia_reading(text)
    rocm_readings(text)


def test_the_output_of_rocm_smi() -> None:
    readings = rocm_readings(f"WARNING: AMD GPU device(s) is/are in a low-power state.\n\n{json.dumps(ROCM)}\n")

    assert readings == {"card0": GpuReading("Radeon RX 7900 XT", 7.0, 27856896 / 2**30, 21458059264 / 2**30)}
    assert rocm_readings(json.dumps({"system": {"Driver version": "6.8.5"}})) == {}
    assert rocm_readings(json.dumps(["card0"])) == {}


def test_a_node_has_the_average_use_and_the_fullest_memory() -> None:
    readings = [GpuReading("T4", 90, 3, 16), GpuReading("T4", 10, 12, 16), GpuReading("T4", None, None, None)]

    assert samples_of(readings) == {GPU: Sample(50, 100), GPU_MEMORY: Sample(12, 16)}
    assert samples_of([]) == {}


def program(folder: Path, name: str, code: str) -> None:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{code}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


def test_nvidia_smi_runs_once_and_its_lines_are_the_readings(tmp_path: Path) -> None:
    program(
        tmp_path,
        "nvidia-smi",
        'echo "$@" >> "$(dirname "$0")/calls"\n'
        'echo "0, Tesla T4, 10, 1024, 15360"; echo "1, Tesla T4, 30, 2048, 15360"\n'
        'echo "0, Tesla T4, 50, 4096, 15360"; exec sleep 600',
    )
    gpus = Gpus(5, {"PATH": f"{tmp_path}:/usr/bin:/bin", "SECRET": "hidden"})
    try:
        eventually(lambda: [reading.percent for reading in gpus.latest] == [50, 30])
    finally:
        gpus.close()

    (call,) = (tmp_path / "calls").read_text().splitlines()
    assert call == (
        "--query-gpu=index,name,utilization.gpu,memory.used,memory.total --format=csv,noheader,nounits -l 5"
    )
    eventually(lambda: not [thread for thread in threading.enumerate() if thread.name == "zenml-azureml-gpus"])


def test_rocm_smi_is_used_where_there_is_no_nvidia_smi(tmp_path: Path) -> None:
    (tmp_path / "answer").write_text(json.dumps(ROCM))
    program(tmp_path, "rocm-smi", 'cat "$(dirname "$0")/answer"')
    gpus = Gpus(5, {"PATH": f"{tmp_path}:/usr/bin:/bin"})
    try:
        eventually(lambda: [reading.name for reading in gpus.latest] == ["Radeon RX 7900 XT"])
    finally:
        gpus.close()


@pytest.mark.parametrize("code", ["exit 9", "echo No devices were found; exit 6"])
def test_a_driver_that_fails_gives_no_readings(tmp_path: Path, code: str) -> None:
    program(tmp_path, "nvidia-smi", code)
    gpus = Gpus(5, {"PATH": f"{tmp_path}:/usr/bin:/bin"})
    eventually(lambda: not [thread for thread in threading.enumerate() if thread.name == "zenml-azureml-gpus"])
    assert gpus.latest == []


def test_a_node_without_gpus_starts_no_program(tmp_path: Path) -> None:
    assert Gpus(5, {"PATH": str(tmp_path)}).latest == []


def test_the_script_for_a_machine_with_a_gpu_reads_as_the_sampler_does(tmp_path: Path) -> None:
    program(tmp_path, "nvidia-smi", "echo '0, Tesla T4, 23, 5120, 15360'; exec sleep 600")
    script = Path(__file__).parents[3] / "scripts" / "gpu_check"
    environment = {"PATH": f"{tmp_path}:/usr/bin:/bin"}
    done = subprocess.run([sys.executable, script, "20"], env=environment, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
    assert "GPU 0: GpuReading(name='Tesla T4', percent=23.0, used_gb=5.0, total_gb=15.0)" in done.stdout
    assert (
        subprocess.run([sys.executable, script, "0"], env={"PATH": ""}, capture_output=True, check=False).returncode
        == 1
    )
