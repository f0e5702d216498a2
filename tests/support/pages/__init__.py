"""What the pages of README and docs/ show is executed."""
