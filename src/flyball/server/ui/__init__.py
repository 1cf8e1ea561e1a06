"""The pages: static files over the same API as everybody's."""
