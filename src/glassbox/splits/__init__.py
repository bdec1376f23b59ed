"""Who is in: labels, folds, balance, and the count of what leaks between folds."""
