"""Generated films, in the layout of a real cohort."""
