"""What all experiments come to, side by side: a table and a page."""
