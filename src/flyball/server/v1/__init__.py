"""Our own API: each handler calls one verb of a room and renders what it returns."""
