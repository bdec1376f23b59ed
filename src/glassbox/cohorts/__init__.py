"""What an archive's tables mean: one file a cohort, the same columns for each."""
