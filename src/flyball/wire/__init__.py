"""Wire: the JSON shapes at the edge; it knows no room."""
