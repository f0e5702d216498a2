"""The timeline of a payment: everything recorded about it, in the order in which it happened."""
