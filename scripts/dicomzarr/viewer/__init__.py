"""The viewer of `./run view`: a server on this machine, the state of each image, and a page that lists them."""
