"""Preparation of a job for its step: `python -m zenml_azureml.in_job COMMAND...`.

Standard library only: it runs in the user's image, and before everything else there. The exceptions are `ranked_step`
and `holding_step`, the entrypoints of a step, and `rank_barrier` and `rank_zero_only`, which they use with ZenML.
`rerun` runs the function of a failed step again, for a user in the container. `mlflow_hook` runs in the step's process,
when that imports ZenML. `checks` is not a preparation, but the whole command of a job of `doctor`; its check of the
artifact store uses ZenML.
"""
