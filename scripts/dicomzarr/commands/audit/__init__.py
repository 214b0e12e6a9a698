"""`./run audit`: what a finished results folder states about its images, as a page and as JSON."""
