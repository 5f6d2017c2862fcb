"""What a job and its client must agree on: variables, commands, secrets. Stdlib only. Anything may import it."""
