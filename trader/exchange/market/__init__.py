"""What trades at the simulated venue: replayed or generated bars, quotes, sessions and assets."""
