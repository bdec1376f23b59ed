"""The parameters of the pipeline, typed and frozen: what `params.yaml` may say, a module a section."""
