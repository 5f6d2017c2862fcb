"""`zenml-azureml demo`: a pipeline (`pipeline.py`), and the code that runs it on its own emulator."""
