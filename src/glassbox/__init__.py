"""Glassbox."""
