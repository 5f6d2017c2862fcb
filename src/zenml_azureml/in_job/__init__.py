"""What runs in a job before its step, where the step needs that: `python -m zenml_azureml.in_job COMMAND...`.

Standard library only: it runs in the user's image, and before everything else there.
"""
