"""CPU, memory, disk and network of a node, read from files as kernels write them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from zenml_azureml.contract.usage import CPU, DISK, MEMORY, NETWORK, SHARED_MEMORY
from zenml_azureml.in_job.sampler.cgroup import Reading, container
from zenml_azureml.in_job.sampler.machine import (
    ProcessTree,
    cores,
    filesystem,
    memory_total,
    network_bytes,
    process_use,
)
from zenml_azureml.in_job.sampler.node import NodeReader

#: `/proc/PID/stat` (proc(5)): utime and stime are the fields 14 and 15, starttime 22, rss 24.
STAT = "4242 (my (odd) name) S 17 4242 4242 0 -1 4194304 900 0 0 0 250 50 0 0 20 0 3 0 123456 1000000 2048 18446744073"

NET_DEV = """Inter-|   Receive                                          |  Transmit
 face |bytes packets errs drop fifo frame compressed multicast|bytes packets errs drop fifo colls carrier compressed
    lo: 5000000 1000    0    0    0     0          0         0  5000000 1000    0    0    0     0       0          0
  eth0: 1000 10    0    0    0     0          0         0  234 10    0    0    0     0       0          0
   ib0:7 1    0    0    0     0          0         0  1 1    0    0    0     0       0          0
"""


def write(folder: Path, files: dict[str, str]) -> Path:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return folder


def test_a_process() -> None:
    use = process_use(STAT, 100.0, 4096)

    assert (use.parent, use.started, use.cpu_seconds, use.memory) == (17, "123456", 3.0, 2048 * 4096)
    assert process_use(STAT.replace(") S ", ") Z "), 100.0, 4096).memory == 0


def test_the_memory_and_the_network_of_a_machine() -> None:
    assert memory_total("MemTotal:       28800000 kB\nMemFree:  100 kB\n") == 28_800_000 * 1024
    assert memory_total("") is None
    assert network_bytes(NET_DEV) == 1000 + 234 + 7 + 1


@pytest.mark.parametrize("limited", [True, False])
@pytest.mark.parametrize("mounted_at_its_path", [True, False])
def test_a_container_with_control_groups_of_version_2(tmp_path: Path, limited: bool, mounted_at_its_path: bool) -> None:
    path = "kubepods/pod1/abc" if mounted_at_its_path else ""
    group = {
        "cpu.stat": "usage_usec 12500000\nuser_usec 12000000\nsystem_usec 500000\n",
        "cpu.max": "350000 100000\n" if limited else "max 100000\n",
        "memory.current": "5000000000\n",
        "memory.max": "16000000000\n" if limited else "max\n",
        "memory.stat": "anon 3000000000\nfile 2000000000\ninactive_file 1500000000\nactive_file 500000000\n",
    }
    root = write(tmp_path / "cgroup", {f"{path}/{name}".lstrip("/"): content for name, content in group.items()})
    proc = write(tmp_path / "proc", {f"{pid}/cgroup": "0::/kubepods/pod1/abc\n" for pid in ("self", "1")})

    found = container(proc, root)

    assert found is not None
    # Files that were cached and are not used are not what the job needs.
    expected = Reading(12.5, 3.5 if limited else None, 3_500_000_000, 16_000_000_000 if limited else None)
    assert found.read() == expected


@pytest.mark.parametrize("limited", [True, False])
def test_a_container_with_control_groups_of_version_1(tmp_path: Path, limited: bool) -> None:
    root = write(
        tmp_path / "cgroup",
        {
            "memory/memory.usage_in_bytes": "5000000000\n",
            "memory/memory.limit_in_bytes": "16000000000\n" if limited else "9223372036854771712\n",
            "memory/memory.stat": "cache 2000000000\ninactive_file 1\ntotal_inactive_file 1500000000\n",
            "cpuacct/cpuacct.usage": "12500000000\n",
            "cpu/cpu.cfs_quota_us": "350000\n" if limited else "-1\n",
            "cpu/cpu.cfs_period_us": "100000\n",
        },
    )
    groups = "4:memory:/docker/abc\n3:cpu,cpuacct:/docker/abc\n1:name=systemd:/docker/abc\n"
    proc = write(tmp_path / "proc", {f"{pid}/cgroup": groups for pid in ("self", "1")})

    found = container(proc, root)

    assert found is not None
    expected = Reading(12.5, 3.5 if limited else None, 3_500_000_000, 16_000_000_000 if limited else None)
    assert found.read() == expected


def test_a_login_session_a_whole_machine_and_unreadable_groups_are_no_container(tmp_path: Path) -> None:
    session = write(
        tmp_path / "session",
        {
            "proc/self/cgroup": "0::/user.slice/session-3.scope\n",
            "proc/1/cgroup": "0::/init.scope\n",
            "cgroup/user.slice/session-3.scope/memory.max": "max\n",
        },
    )
    machine_1 = write(
        tmp_path / "machine_1",
        {
            "proc/self/cgroup": "4:memory:/\n2:cpu,cpuacct:/\n",
            "proc/1/cgroup": "4:memory:/\n2:cpu,cpuacct:/\n",
            "cgroup/memory/memory.usage_in_bytes": "1\n",
            "cgroup/memory/release_agent": "",
        },
    )
    machine_2 = write(
        tmp_path / "machine_2",
        {"proc/self/cgroup": "0::/\n", "proc/1/cgroup": "0::/\n", "cgroup/memory.stat": "anon 1\n"},
    )
    broken = write(
        tmp_path / "broken",
        {"proc/self/cgroup": "0::/\n", "proc/1/cgroup": "0::/\n", "cgroup/memory.max": "what?\n"},
    )

    for machine in (session, machine_1, machine_2, broken, tmp_path / "nothing"):
        assert container(machine / "proc", machine / "cgroup") is None


def test_a_tree_of_processes_is_counted_with_children_that_have_ended(tmp_path: Path) -> None:
    def stat(pid: int, parent: int, ticks: int, pages: int) -> None:
        fields = f"S {parent} 1 1 0 -1 0 0 0 0 0 {ticks} 0 0 0 20 0 1 0 {pid}00 0 {pages} 0"
        write(tmp_path, {f"{pid}/stat": f"{pid} (python) {fields}"})

    stat(10, 1, 100, 10)
    stat(11, 10, 200, 20)
    stat(12, 11, 300, 30)
    stat(99, 1, 5000, 5000)  # of another job
    tree, page = ProcessTree(tmp_path), os.sysconf("SC_PAGE_SIZE")
    ticks = os.sysconf("SC_CLK_TCK")

    assert tree.read([10]) == (600 / ticks, 60 * page)
    (tmp_path / "12/stat").unlink()
    stat(11, 10, 250, 25)
    assert tree.read([10]) == (650 / ticks, 35 * page)
    assert tree.read([10, 99]) == (5650 / ticks, 5035 * page)


def test_the_processes_of_a_real_step_are_found() -> None:
    code = "import subprocess, sys; block = bytearray(60_000_000); block[::4096] = b'x' * len(block[::4096])"
    code += "; print('ready', flush=True); sys.stdin.read()"
    child = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {code!r}])"
    now = [0.0]
    with subprocess.Popen([sys.executable, "-c", child], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as step:
        assert step.stdout is not None
        assert step.stdout.readline() == b"ready\n"
        reader = NodeReader(lambda: [step.pid], None, lambda: now[0])
        first = reader.read()
        now[0] = 2.0
        second = reader.read()
        assert step.stdin is not None
        step.stdin.close()

    assert CPU not in first
    assert NETWORK not in first
    assert 0.055 < first[MEMORY].value < 0.5
    assert second[CPU].limit == cores()
    assert second.keys() == {CPU, MEMORY, DISK, NETWORK} | ({SHARED_MEMORY} if Path("/dev/shm").exists() else set())
    assert 0 <= second[CPU].value <= 2 * cores()


def test_a_file_system() -> None:
    sample = filesystem("/")
    assert sample is not None
    assert sample.limit is not None
    assert 0 < sample.value <= sample.limit
    assert filesystem("/no/such/folder") is None
