"""Forecasters at the same origins: scores, tests, and the page that shows them."""
