"""Training recipes of the paper's experiments and of the shipped weights, and the programs that run them."""
