"""A compiled model under the eyes of its eager twin: when it may serve, and when it must give way."""
