"""MLflow's API of workspaces: a real MLflow server behind the emulator, and what Azure ML adds to it."""
