"""Stored bars and quotes: import, download, checks, and the newest bars of a file."""
