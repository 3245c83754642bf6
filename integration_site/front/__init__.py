"""The front: an event loop that receives, waits, keeps and gathers, with Django behind it."""
