"""What makes a model fast without changing what it says: rungs, recorded graphs, and a gate."""
