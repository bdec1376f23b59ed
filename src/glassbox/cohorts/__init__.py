"""What an archive's tables mean: one row an image, the same columns for every cohort."""
