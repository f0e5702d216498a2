"""CPU time of single requests, and of the parts that they consist of."""
