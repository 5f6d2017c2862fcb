"""What executes the commands of jobs: processes, containers, or a simulation."""
