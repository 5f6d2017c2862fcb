"""Behind `zenml-azureml doctor --run-job`: one small job that checks itself from the inside."""
