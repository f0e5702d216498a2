"""Ways to make a transfer: each module has `way(url, accounts)`, a `worker.Way`."""
