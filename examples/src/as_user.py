import os

from azure.ai.ml import MLClient
from azure.ai.ml.identity import AzureMLOnBehalfOfCredential

names = ("SUBSCRIPTION", "RESOURCEGROUP", "WORKSPACE_NAME")
ml_client = MLClient(AzureMLOnBehalfOfCredential(), *(os.environ[f"AZUREML_ARM_{name}"] for name in names))
job = ml_client.jobs.get(os.environ["AZUREML_RUN_ID"])
print(job.name, "is", job.status, "and knows", [store.name for store in ml_client.datastores.list()])
