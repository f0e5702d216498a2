"""Work in bulk: exports, settlement files, payouts, the resolver."""
