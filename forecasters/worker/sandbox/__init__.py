"""What keeps a worker in: Landlock and seccomp, as far as an ordinary user can without new privileges."""
