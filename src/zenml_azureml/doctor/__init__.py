"""`zenml-azureml doctor`: checks of what a step operator needs, with the next steps for each problem.

One file for each concern: the facts, and a pure function from them to a `Finding`. `facts.py` and
`azure.arm.inspector` gather the facts; `runner.py` combines both. No check imports `azure.*`.
"""
