"""Azure Resource Manager: subscriptions, roles, registries, key vaults, and other resources."""
