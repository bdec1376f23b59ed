"""Taking patients out, and what that changes."""
