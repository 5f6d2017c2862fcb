"""The jobs that pipelines have left in Azure ML: which they are, who still needs them, how they end.

What `zenml-azureml jobs` does, apart from reading arguments and printing.
"""
