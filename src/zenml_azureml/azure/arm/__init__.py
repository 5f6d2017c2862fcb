"""Azure Resource Manager beside Azure ML: roles, registries, key vaults, identities."""
