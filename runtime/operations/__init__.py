"""What operators see at a glance: runs of schedules, lags of change streams, dead letters."""
