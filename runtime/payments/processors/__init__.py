"""Payment processors behind one port (port.py), with one package per processor."""
