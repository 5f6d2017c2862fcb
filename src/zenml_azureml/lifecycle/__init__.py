"""One step run from the submit to its end. Only the step operator and the packages above it may import it."""
