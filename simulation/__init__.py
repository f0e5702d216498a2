"""The whole platform on one thread, in virtual time, from one seed; for tests and benchmarks."""
