"""Access to the data of step runs and runs on ZenML's server. Only `submission` and higher layers may import it."""
