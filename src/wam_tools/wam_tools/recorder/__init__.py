"""Records a run: the node, and what a bag says of its own recording."""
