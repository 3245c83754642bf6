"""What is configured as files: read, planned, applied and written."""
