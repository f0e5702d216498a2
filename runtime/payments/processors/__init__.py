"""Payment processors behind one port (port.py): one module per processor."""
