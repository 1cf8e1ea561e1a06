"""Gates: what a version must stand before production. One rule a file; each is pure and knows only the evidence."""
