"""Stored forecasts: what a forecast's key is made of, and sweeps over many origins."""
