"""The server: HTTP skins over the rooms, and the place where the rooms are joined."""
