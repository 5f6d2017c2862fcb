"""`zenml-azureml demo`: a pipeline (`pipeline.py`) and what runs it on an emulator of its own."""
