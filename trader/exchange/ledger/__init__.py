"""The simulated venue's durable memory: every order, fill and event, in SQLite or in memory."""
