"""What runs in a job before its step, where the step needs that: `python -m zenml_azureml.in_job COMMAND...`.

Standard library only: it runs in the user's image, and before everything else there. The exceptions are `ranked_step`
and `other_ranks`, which are a step's entrypoint and what that has to do with ZenML.
"""
