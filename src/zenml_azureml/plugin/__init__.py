"""Registration and configuration of the step operator in ZenML. Only the operator and higher layers may import it."""
