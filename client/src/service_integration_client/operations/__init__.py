"""The operations of the hub, described once for all clients.

Each operation is a coroutine function whose first argument is the hub. Which of them a client has,
and whether it awaits them, is the table in `service_integration_client.client`.
"""
