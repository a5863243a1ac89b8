"""The published packages in a process of their own, with their own Python: what ours is measured against."""
