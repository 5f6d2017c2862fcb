"""The processes of a test run share warm Pythons, as the workers of pytest do."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import psutil

from tests.contract.waiting import eventually
from tests.e2e.warm_home import ROOT, VARIABLE

#: A test run, and with an argument one of its workers.
RUN = """
import json, subprocess, sys
from pathlib import Path
from tests.e2e import warm, warm_home

if len(sys.argv) > 1:
    folder = Path.cwd()
    (folder / "program.py").write_text("import os; print(os.getpid(), os.getppid())")
    print(warm.run([str(folder / "program.py")], {}, folder, "tests.unit.warm_zenml").stdout)
else:
    remove = warm_home.make_home()
    worker = [sys.executable, __file__, "worker"]
    print(json.dumps([subprocess.check_output(worker, text=True).split() for _ in range(2)]))
    assert warm_home.make_home() is None
    remove()
"""


def test_workers_fork_from_one_warm_python_that_ends_with_the_test_run(tmp_path: Path) -> None:
    script = tmp_path / "run.py"
    script.write_text(RUN)
    environment = {name: value for name, value in os.environ.items() if name != VARIABLE}
    with TemporaryDirectory() as short:  # the path of a socket has at most 107 bytes
        environment |= {"PYTHONPATH": str(ROOT), "TMPDIR": short}
        done = subprocess.run(
            [sys.executable, script], env=environment, cwd=tmp_path, capture_output=True, text=True, check=False
        )
        left = list(Path(short).glob("warm-*"))

    assert done.returncode == 0, done.stderr
    (first, its_parent), (second, same_parent) = json.loads(done.stdout)
    assert first != second
    assert its_parent == same_parent
    eventually(lambda: not psutil.pid_exists(int(its_parent)))
    assert not left
