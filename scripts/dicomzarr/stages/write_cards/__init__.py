"""Write the cards of the dataset: what it is and how to read it, for people, catalogues and loaders."""
