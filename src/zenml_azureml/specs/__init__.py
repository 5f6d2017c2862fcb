"""Plain data between settings and the Azure SDK: what is asked of a compute and of a job. Anything may import it."""
