"""Azure Blob Storage: uploads, data and logs of jobs as blobs, which are files of this machine."""
