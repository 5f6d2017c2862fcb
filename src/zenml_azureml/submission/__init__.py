"""From a step run to the job that is submitted for it. Only `lifecycle` and the packages above may import it."""
