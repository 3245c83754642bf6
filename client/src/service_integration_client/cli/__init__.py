"""The command line `service-integration`: thin commands on `SyncServiceIntegrationClient`."""
