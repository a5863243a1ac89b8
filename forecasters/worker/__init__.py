"""A backend in a process of its own, behind a socket: the parent's side, the child's side, and what they say."""
