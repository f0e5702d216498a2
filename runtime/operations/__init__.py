"""What operators see at a glance: runs of schedules, and dead-letter queues."""
