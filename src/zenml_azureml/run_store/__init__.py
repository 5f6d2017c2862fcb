"""What is read from and written to the ZenML server. Only `submission` and the packages above may import it."""
