"""See why jobs failed: one by an exception, one by data that does not exist."""

import os
from pathlib import Path

from azure.ai.ml import Input, MLClient, command
from azure.ai.ml.entities import Environment
from azure.ai.ml.exceptions import JobException
from azure.identity import DefaultAzureCredential

names = ("SUBSCRIPTION", "RESOURCEGROUP", "WORKSPACE_NAME")
ml_client = MLClient(DefaultAzureCredential(), *(os.environ[f"AZUREML_ARM_{name}"] for name in names))
environment = Environment(image="python:3.12")
missing = Input(type="uri_folder", path="azureml://datastores/workspaceblobstore/paths/not/there/")
jobs = [
    command(command="python -c 'print(1); 1 / 0'", environment=environment),
    command(command="ls ${{inputs.data}}", inputs={"data": missing}, environment=environment),
]
for number, job in enumerate(jobs):
    job = ml_client.jobs.create_or_update(job)
    try:
        ml_client.jobs.stream(job.name)
    except JobException as error:
        print(error)
    print(ml_client.jobs.get(job.name).status)
    ml_client.jobs.download(job.name, download_path=f"failed-{number}")
    for log in Path(f"failed-{number}").rglob("std_log.txt"):
        print(log.read_text())
