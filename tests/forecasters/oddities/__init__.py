"""Backends of another package, each wrong in its own way. Run in the worker's process only."""
