"""A provider of language models on this machine: a tiny text model that speaks their protocols.

The model is an n-gram model over the sample documents, so its answers are sentences that look like
them. What it answers depends on the request alone: the same one has the same answer, always.
"""
