"""Train with MLflow's autolog in a job, read what it has logged, and register the model."""

import os

import mlflow
from azure.ai.ml import Input, MLClient, command
from azure.ai.ml.entities import Environment
from azure.identity import DefaultAzureCredential

names = ("SUBSCRIPTION", "RESOURCEGROUP", "WORKSPACE_NAME")
ml_client = MLClient(DefaultAzureCredential(), *(os.environ[f"AZUREML_ARM_{name}"] for name in names))

job = command(
    code="./src",
    command="python train_autolog.py --data ${{inputs.data}}",
    inputs={"data": Input(type="uri_file", path="./data/flowers.csv")},
    environment=Environment(image="mcr.microsoft.com/azureml/openmpi4.1.0-ubuntu22.04"),
    experiment_name="flowers",
)
job = ml_client.jobs.create_or_update(job)
ml_client.jobs.stream(job.name)

mlflow.set_tracking_uri(ml_client.workspaces.get(ml_client.workspace_name).mlflow_tracking_uri)
run = mlflow.get_run(job.name)
print(run.info.status, run.data.params["max_depth"], run.data.metrics["training_accuracy_score"])
version = mlflow.register_model(f"runs:/{job.name}/model", "flower-model").version
model = mlflow.sklearn.load_model(f"models:/flower-model/{version}")
print(model.predict([[1.4, 0.2], [6.0, 2.0]]))
print(ml_client.models.get("flower-model", version=version).type)
