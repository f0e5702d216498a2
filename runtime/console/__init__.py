"""The console: static files, the headers that they are sent with, and which of them are served."""
