"""What made a model: the record of it, and the parcel that people without Glassbox can check."""
