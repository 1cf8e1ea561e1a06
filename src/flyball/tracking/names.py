"""Names for runs and models that came without one."""

from __future__ import annotations

import secrets

# All of them begin names at MLflow too, so that whoever tells a made name by its first word goes on doing so.
ADJECTIVES = (
    "able", "adventurous", "bold", "bright", "calm", "carefree", "caring", "charming", "colorful", "dashing",
    "delightful", "efficient", "enchanting", "fearless", "fortunate", "gentle", "gifted", "honorable", "industrious",
    "inquisitive", "intelligent", "likeable", "luminous", "melodic", "nimble", "orderly", "peaceful", "persistent",
    "placid", "polite", "rare", "resilient", "respected", "serious", "silent", "sincere", "skillful", "stately",
    "thoughtful", "unique", "upbeat", "useful", "valuable", "welcoming", "whimsical", "wise", "youthful", "zealous",
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
