"""What the checks of a running program share."""
