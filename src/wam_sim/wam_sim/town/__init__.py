"""A town to drive in: roads, lanes and junctions, the same for the same split and seed."""
