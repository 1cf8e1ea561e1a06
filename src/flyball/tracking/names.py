"""Names for runs and models that came without one."""

from __future__ import annotations

import secrets

ADJECTIVES = (
    "able", "amber", "bold", "brave", "bright", "brisk", "calm", "clever", "cool", "crisp", "deft", "eager", "fair",
    "fleet", "gentle", "glad", "grand", "keen", "kind", "lively", "lucid", "mellow", "merry", "mild", "neat", "nimble",
    "noble", "polite", "proud", "quick", "quiet", "rapid", "rare", "ready", "serene", "sharp", "silent", "smooth",
    "sober", "solid", "steady", "swift", "tidy", "vivid", "warm", "wise", "witty", "zesty",
)  # fmt: skip
NOUNS = (
    "ant", "ash", "bass", "bear", "birch", "bison", "carp", "cod", "colt", "crane", "crow", "deer", "dove", "eel",
    "elk", "elm", "falcon", "fern", "finch", "fox", "gnu", "goose", "grouse", "gull", "hare", "hawk", "heron", "horse",
    "jay", "koi", "lark", "lynx", "mole", "moose", "newt", "otter", "owl", "panda", "perch", "pike", "quail", "robin",
    "seal", "shark", "skink", "stork", "swan", "toad", "trout", "wolf", "wren", "yak",
)  # fmt: skip


def random_name() -> str:
    """Make a name of the form `adjective-noun-123`."""
    return f"{secrets.choice(ADJECTIVES)}-{secrets.choice(NOUNS)}-{secrets.randbelow(1000)}"
