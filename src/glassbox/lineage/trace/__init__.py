"""Every model on record that saw a patient or an image."""
