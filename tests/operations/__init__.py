"""Running it for real: the deployment files, what is logged and measured, stopping and upgrading."""
