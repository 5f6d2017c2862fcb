"""Azure Blob Storage: logs of jobs, by SAS URL."""
