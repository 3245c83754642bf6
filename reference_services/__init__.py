"""Ten small, real HTTP services that register with the hub, send heartbeats and do their work.

Each runs as a process of its own: ``python -m reference_services NAME --port N --data-dir DIR``.
They know the hub only through ``service_integration_client``.
"""
