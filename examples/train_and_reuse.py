"""Train a model with a code folder and data, register it, and use it in a second job."""

import os

from azure.ai.ml import Input, MLClient, Output, command
from azure.ai.ml.entities import Data, Environment
from azure.identity import DefaultAzureCredential

names = ("SUBSCRIPTION", "RESOURCEGROUP", "WORKSPACE_NAME")
ml_client = MLClient(DefaultAzureCredential(), *(os.environ[f"AZUREML_ARM_{name}"] for name in names))
environment = Environment(image="mcr.microsoft.com/azureml/openmpi4.1.0-ubuntu22.04")

data = ml_client.data.create_or_update(Data(name="flowers", path="./data/flowers.csv", type="uri_file"))
train = command(
    code="./src",
    command="python train.py --data ${{inputs.data}} --depth ${{inputs.depth}} --model ${{outputs.model}}",
    inputs={"data": Input(type="uri_file", path=f"azureml:flowers:{data.version}"), "depth": 3},
    outputs={"model": Output(type="custom_model", name="flower-tree")},
    environment=environment,
)
ml_client.jobs.stream(ml_client.jobs.create_or_update(train).name)

score = command(
    code="./src",
    command="python score.py --model ${{inputs.model}} --data ${{inputs.folder}}",
    inputs={"model": Input(type="custom_model", path="flower-tree@latest"), "folder": Input(path="./data")},
    environment=environment,
)
ml_client.jobs.stream(ml_client.jobs.create_or_update(score).name)
