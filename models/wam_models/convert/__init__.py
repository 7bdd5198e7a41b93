"""Public weights to a checkpoint of a Metis: other names, other files, the same numbers."""
