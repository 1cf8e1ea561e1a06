"""Governance: who may do what, who approved what on which evidence, and why something happened."""
