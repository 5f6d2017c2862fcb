"""The checks of `zenml-azureml doctor`: one file for each concern, pure functions from facts to a `Finding`."""
