"""The contract between a job and its client: variables, commands, secrets. Stdlib only. Any package may import it."""
