"""Checks of a job from the inside, for `zenml-azureml doctor --run-job`: `python -m zenml_azureml.in_job.checks`."""
