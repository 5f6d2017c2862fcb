"""A container registry on the loopback: Debian's docker-registry."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.docker.services import free_port, listens, serving

_CONFIGURATION = """
version: 0.1
storage:
  filesystem:
    rootdirectory: {folder}/images
http:
  addr: 127.0.0.1:{port}
"""


@contextmanager
def container_registry(folder: Path) -> Iterator[str]:
    """A registry for the length of a `with`; its `HOST:PORT`. Docker asks no TLS of the loopback.

    Args:
        folder: An empty folder for its images.
    """
    port = free_port()
    configuration = folder / "config.yml"
    configuration.write_text(_CONFIGURATION.format(folder=folder, port=port))
    environment = {"OTEL_TRACES_EXPORTER": "none"}
    command = ["docker-registry", "serve", str(configuration)]
    with serving(command, folder / "log", lambda: listens(port), environment):
        yield f"127.0.0.1:{port}"
