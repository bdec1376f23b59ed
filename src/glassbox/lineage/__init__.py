"""Who is in which model, and taking somebody out again."""
