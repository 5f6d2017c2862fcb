"""Mutation testing: `make mutants` changes a line of what decides about a step's life, and a test has to notice."""
