"""The door: who may ask, from where, and how the server listens."""
