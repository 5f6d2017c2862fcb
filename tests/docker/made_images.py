"""Images that `container/compose.yaml` names, made of what this machine can install: no registry need be in reach."""

from __future__ import annotations

import shutil
import subprocess
from importlib.metadata import version
from pathlib import Path

from docker import DockerClient
from tests.docker import base_image, parent_image
from tests.e2e.environments import SOURCE

PLAIN = "zenml-azureml-tests/with-python:1"
WITH_INDEX = "zenml-azureml-tests/with-index:1"
ZENML_SERVER = f"zenml-azureml-tests/zenml-server:{version('zenml')}"
AZURITE = "zenml-azureml-tests/azurite:1"

#: Runs the program with the libraries that it has on this machine, whichever those of the image are.
_NODE = '#!/bin/sh\nexec /opt/node/{loader} --library-path /opt/node /opt/node/node "$@"\n'


def make_base(engine: DockerClient, debian: Path, folder: Path) -> str:
    """Make a Debian with Python that installs packages from where this machine does."""
    base_image.import_image(engine, debian, PLAIN)
    (folder / "pip.conf").write_text(parent_image.pip_configuration())
    shutil.copy(parent_image.certificates(), folder / "certificates.crt")
    (folder / "Dockerfile").write_text(
        f"FROM {PLAIN}\nCOPY pip.conf /etc/pip.conf\nCOPY certificates.crt {parent_image.CERTIFICATES}\n"
    )
    engine.images.build(path=str(folder), tag=WITH_INDEX)
    return WITH_INDEX


def make_zenml_server(engine: DockerClient, folder: Path) -> str:
    """Make an image with a ZenML server, and with the SDK of Azure ML for scripts; an engine that has it keeps it."""
    if engine.images.list(ZENML_SERVER):
        return ZENML_SERVER
    (folder / "constraints.txt").write_text(parent_image.constraints())
    (folder / "Dockerfile").write_text(
        f"FROM {WITH_INDEX}\n"
        "COPY constraints.txt /\n"
        "RUN pip install --quiet --no-cache-dir -c /constraints.txt "
        f"'zenml[server]=={version('zenml')}' azure-ai-ml azure-identity azure-storage-blob\n"
        "ENV ZENML_CONFIG_PATH=/zenml/.zenconfig ZENML_ANALYTICS_OPT_IN=false ZENML_SERVER_DEPLOYMENT_TYPE=docker\n"
        'ENTRYPOINT ["uvicorn", "zenml.zen_server.zen_server_api:app", "--host", "0.0.0.0", "--port", "8080"]\n'
    )
    engine.images.build(path=str(folder), tag=ZENML_SERVER, network_mode="host")
    return ZENML_SERVER


def make_azurite(engine: DockerClient, folder: Path) -> str:
    """Make an image with the Azurite that `tests/docker/install` has installed, and this machine's Node.js."""
    node = shutil.which("node")
    assert node is not None, "Azurite needs Node.js, which Debian's package npm brings"
    (folder / "node").mkdir()
    shutil.copy(node, folder / "node/node")
    used = subprocess.run(["ldd", node], check=True, capture_output=True, text=True).stdout.split()
    libraries = [Path(word) for word in used if word.startswith("/")]
    for library in libraries:
        shutil.copy(library, folder / "node" / library.name)
    (loader,) = [library.name for library in libraries if library.name.startswith("ld-")]
    (folder / "run-node").write_text(_NODE.format(loader=loader))
    (folder / "run-azurite").write_text(
        '#!/bin/sh\nexec node /opt/azurite/node_modules/azurite/dist/src/blob/main.js "$@"\n'
    )
    shutil.copytree(SOURCE / ".venv/azurite/node_modules", folder / "node_modules", symlinks=True)
    (folder / "Dockerfile").write_text(
        f"FROM {PLAIN}\n"
        "COPY node /opt/node\n"
        "COPY node_modules /opt/azurite/node_modules\n"
        "COPY run-node /usr/local/bin/node\n"
        "COPY run-azurite /usr/local/bin/azurite-blob\n"
        "RUN chmod 755 /usr/local/bin/node /usr/local/bin/azurite-blob /opt/node/*\n"
    )
    engine.images.build(path=str(folder), tag=AZURITE)
    return AZURITE
