"""Verifies each account row against its entries, and hot accounts against their floors."""
