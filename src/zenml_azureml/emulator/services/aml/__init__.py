"""Azure Machine Learning: jobs, computes, environments, workspaces, datastores, sizes, quota."""
