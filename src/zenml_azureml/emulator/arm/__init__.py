"""What Azure Resource Manager serves for Azure ML: one module per kind of resource."""
