"""`zenml-azureml doctor`: whether a step operator can do its work, and what to do where it cannot.

One file for each concern: the facts, and a pure function from them to a `Finding`. `facts.py` and
`workspace.inspector` gather the facts; `runner.py` brings both together. No check imports `azure.*`.
"""
