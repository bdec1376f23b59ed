"""What others verify without this project: one folder about one model, signed, and proofs about its patients."""
