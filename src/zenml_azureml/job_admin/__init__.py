"""Administration of the Azure ML jobs of pipelines: inventory, orphans, cancellation, takeover.

The work of `zenml-azureml jobs`, apart from reading arguments and printing.
"""
