"""Azure Machine Learning on this machine, over HTTPS, for the unmodified `azure-ai-ml` SDK."""

from zenml_azureml.emulator.server import Emulator
from zenml_azureml.emulator.state import WorkspaceName

__all__ = ["Emulator", "WorkspaceName"]
