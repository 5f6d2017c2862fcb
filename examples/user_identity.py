"""Run a job as the user who submits it: the script in it signs in as that user."""

import os

from azure.ai.ml import MLClient, UserIdentityConfiguration, command
from azure.ai.ml.entities import Environment
from azure.identity import DefaultAzureCredential

names = ("SUBSCRIPTION", "RESOURCEGROUP", "WORKSPACE_NAME")
ml_client = MLClient(DefaultAzureCredential(), *(os.environ[f"AZUREML_ARM_{name}"] for name in names))

job = command(
    code="./src",
    command="python as_user.py",
    environment=Environment(image="python:3.12"),
    identity=UserIdentityConfiguration(),
)
ml_client.jobs.stream(ml_client.jobs.create_or_update(job).name)
