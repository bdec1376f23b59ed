"""What passes between stages: one module a file, with its schema, its reader and its writer."""
