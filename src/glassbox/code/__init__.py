"""What each stage runs, as data: digests of the modules it reaches and versions of their packages."""
