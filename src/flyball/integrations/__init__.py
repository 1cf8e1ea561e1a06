"""Integrations: what other tools load of us. Each folder knows its tool and none of the others."""
