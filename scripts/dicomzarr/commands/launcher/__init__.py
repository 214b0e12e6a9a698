"""What all commands of `./run` share: their table, help, options and mistakes, the environment, and child processes."""
