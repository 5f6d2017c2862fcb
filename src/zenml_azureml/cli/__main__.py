"""`python -m zenml_azureml.cli`."""

from zenml_azureml.cli import main

main(prog_name="zenml-azureml")
