"""A ZenML server that is killed and started again in a second: forked from a process that has imported it.

`python -m tests.chaos.forked_server PORT`, which is asked by lines on its standard input: `start KEY` with the key that
sessions are signed with, or `kill`. Each is answered by a line when it is done.
"""

from __future__ import annotations

import os
import signal
import sys


def main(port: int) -> None:
    """Carry out what is asked, until nothing more can be."""
    from zenml.zen_server import zen_server_api  # which takes long

    running = 0
    for line in sys.stdin:
        what, _, key = line.strip().partition(" ")
        if running:
            os.kill(running, signal.SIGKILL)
            os.waitpid(running, 0)
            running = 0
        if what == "start":
            running = os.fork()
            if running == 0:
                _serve(zen_server_api.app, port, key)
        print(what, flush=True)
    if running:
        os.kill(running, signal.SIGKILL)


def _serve(app: object, port: int, key: str) -> None:
    import uvicorn
    from zenml.zen_server.utils import server_config

    try:
        server_config().jwt_secret_key = key
        uvicorn.run(app, host="127.0.0.1", port=port, log_level="warning")  # type: ignore[arg-type]
    finally:
        os._exit(0)


if __name__ == "__main__":
    main(int(sys.argv[1]))
