"""Key vaults: where a workspace's secrets are kept, for the real `azure-keyvault-secrets`."""
