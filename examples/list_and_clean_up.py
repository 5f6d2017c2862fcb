"""List the jobs of an experiment, archive one and delete the others."""

import os

from azure.ai.ml import MLClient, command
from azure.ai.ml.entities import Environment
from azure.core.exceptions import ResourceNotFoundError
from azure.identity import DefaultAzureCredential

names = ("SUBSCRIPTION", "RESOURCEGROUP", "WORKSPACE_NAME")
ml_client = MLClient(DefaultAzureCredential(), *(os.environ[f"AZUREML_ARM_{name}"] for name in names))

for number in range(3):
    job = command(command=f"echo {number}", environment=Environment(image="python:3.12"), experiment_name="tidy")
    ml_client.jobs.stream(ml_client.jobs.create_or_update(job).name)

jobs = [job for job in ml_client.jobs.list() if job.experiment_name == "tidy"]
for job in jobs:
    print(job.name, job.status, job.creation_context.created_at)

newest, *others = jobs
ml_client.jobs.archive(newest.name)
for job in others:
    ml_client.jobs.begin_delete(job.name).result()
    try:
        ml_client.jobs.get(job.name)
    except ResourceNotFoundError:
        print("deleted", job.name)
print("left:", [job.name for job in ml_client.jobs.list() if job.experiment_name == "tidy"])
