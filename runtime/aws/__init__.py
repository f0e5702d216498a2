"""Lean AWS clients: signed JSON requests over kept connections, without botocore's client."""
