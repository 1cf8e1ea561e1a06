"""What no single column shows: numbers that move together otherwise than they did, other texts, other embeddings."""
