"""The parent of an MLflow server: the server ends when the emulator does, however that ends.

Runs as a program of its own, `python -I -S keeper.py COMMAND...`, standard library only. The emulator holds the other
end of its stdin and never writes to it: it is closed by the system at the latest.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from contextlib import suppress


def main() -> None:
    """Start the command, and kill it with all that it has started when stdin ends."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        # A handler and not `SIG_IGN`, which programs inherit.
        signal.signal(number, lambda _number, _frame: None)
    server = subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL, start_new_session=True)

    def end_with_server() -> None:
        server.wait()
        os._exit(1)

    threading.Thread(target=end_with_server, daemon=True).start()
    sys.stdin.buffer.read()
    with suppress(ProcessLookupError):
        os.killpg(server.pid, signal.SIGKILL)  # sqlite's files are whole at each moment


if __name__ == "__main__":
    main()
