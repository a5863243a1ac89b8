"""A second opinion: the account recomputed from the venue alone, and held against the journal.

It shares nothing with the desk and its reconciliation but the types, so that a fault there is not made here again. It
sends no order. It may do two things: alert, and latch `halted` or `killed` in the file that the daemon obeys.
"""
