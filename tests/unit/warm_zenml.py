"""A Python that has imported ZenML, and nothing that needs more of it, and forks the programs of `test_imports.py`."""

from __future__ import annotations

from tests.e2e.warm_server import become, listening_socket, serve


def main() -> None:
    """Serve. Returns in the forked processes, and there after the program."""
    listening = listening_socket()
    import zenml  # noqa: F401

    asked = serve(listening)
    if asked is not None:
        become(asked)
