"""What maintainers run: the environment, the chapter runner, the checks and the generators."""
