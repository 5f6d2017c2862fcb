"""Runtimes that execute the commands of jobs: processes, containers, or a simulation."""
