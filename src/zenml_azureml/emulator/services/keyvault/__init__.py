"""Azure Key Vault: secrets, for the real `azure-keyvault-secrets`."""
