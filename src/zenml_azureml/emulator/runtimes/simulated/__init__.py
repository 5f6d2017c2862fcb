"""Jobs that only pretend to run."""

from zenml_azureml.emulator.runtimes.simulated.runtime import SimulatedRuntime

__all__ = ["SimulatedRuntime"]
