"""Lambda entry points: parse, call one service, shape the answer."""
