"""Two arms at the same bars in turns, and the rule that decides between them."""
