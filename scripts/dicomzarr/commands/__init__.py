"""The commands of `./run`: each is a module, or a folder if it has several. What they share is in `launcher`."""
