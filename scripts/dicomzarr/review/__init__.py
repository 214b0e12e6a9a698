"""`./run review`: images that were set aside for text in their pixels, and the decisions about them."""
