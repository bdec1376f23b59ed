"""Pixels: from the members of an archive to HDF5 shards."""
