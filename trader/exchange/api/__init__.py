"""Alpaca's protocols, as the simulated venue speaks them: REST, streams, and faults by script."""
