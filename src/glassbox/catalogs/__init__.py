"""The catalog of an archive: its tables held against its images, one typed row an image, whatever the cohort."""
