"""What others send, read with a bound. Nothing here knows the venue or the daemon."""
