"""Download what a job has written, and plot it."""

import json
import os
from pathlib import Path

from azure.ai.ml import MLClient, Output, command
from azure.ai.ml.entities import Environment
from azure.identity import DefaultAzureCredential

names = ("SUBSCRIPTION", "RESOURCEGROUP", "WORKSPACE_NAME")
ml_client = MLClient(DefaultAzureCredential(), *(os.environ[f"AZUREML_ARM_{name}"] for name in names))

job = command(
    code="./src",
    command="python losses.py --epochs ${{inputs.epochs}} --curve ${{outputs.curve}}",
    inputs={"epochs": 20},
    outputs={"curve": Output(type="uri_folder")},
    environment=Environment(image="python:3.12"),
)
job = ml_client.jobs.create_or_update(job)
ml_client.jobs.stream(job.name)

ml_client.jobs.download(job.name, output_name="curve", download_path="downloads")
ml_client.jobs.download(job.name, download_path="downloads")  # ./outputs, ./logs and the logs
losses = json.loads(Path("downloads/named-outputs/curve/losses.json").read_text())
points = " ".join(f"{20 * epoch},{200 * (1 - loss):.0f}" for epoch, loss in enumerate(losses))
svg = f'<svg xmlns="http://www.w3.org/2000/svg"><polyline points="{points}" fill="none" stroke="black"/></svg>'
Path("losses.svg").write_text(svg)
