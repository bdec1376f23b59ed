"""Erasing patients: every copy of what holds them at hand is removed, and what is left is searched for them."""
