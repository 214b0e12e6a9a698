"""What all words of `./run` share: their table, help, options and mistakes, the environment, and child processes."""
