"""Where an archive comes from, and its members read in place."""
