"""Azure Resource Manager outside of Azure ML: roles, registries, key vaults, identities."""
