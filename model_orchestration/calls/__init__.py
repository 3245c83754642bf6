"""Calls of models: on the event loop that all calls of this process are made on."""
