"""Run a pipeline of two components: split a file, and count the lines of each part."""

import os

from azure.ai.ml import Input, MLClient, Output, command, dsl
from azure.ai.ml.entities import Environment
from azure.identity import DefaultAzureCredential

names = ("SUBSCRIPTION", "RESOURCEGROUP", "WORKSPACE_NAME")
ml_client = MLClient(DefaultAzureCredential(), *(os.environ[f"AZUREML_ARM_{name}"] for name in names))
environment = Environment(image="python:3.12")

line = "split -n l/${{inputs.parts}} ${{inputs.file}} ${{outputs.folder}}/part-"
inputs, outputs = {"file": Input(type="uri_file"), "parts": 3}, {"folder": Output(type="uri_folder")}
split = command(name="split", command=line, inputs=inputs, outputs=outputs, environment=environment).component
line, inputs = "wc -l ${{inputs.folder}}/part-*", {"folder": Input(type="uri_folder")}
count = command(name="count", command=line, inputs=inputs, environment=environment).component
split, count = (ml_client.components.create_or_update(component) for component in (split, count))


@dsl.pipeline(default_compute="serverless")
def lines(file):
    """Split a file into two parts, and count the lines of both."""
    count(folder=split(file=file, parts=2).outputs.folder)


job = ml_client.jobs.create_or_update(lines(Input(type="uri_file", path="./data/flowers.csv")))
ml_client.jobs.stream(job.name)
print(sorted(child.display_name for child in ml_client.jobs.list(parent_job_name=job.name)))
