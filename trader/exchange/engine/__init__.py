"""Matching, pure: orders, fills and money of the simulated venue; no clock, no file, no network."""
