"""How ZenML finds and configures the step operator. Only the operator and what stands above may import it."""
