"""The runbook as one page without a script: what each alert rule means, and what to do."""

from __future__ import annotations

from html import escape

from flyball.monitoring.exports.rules import INSTALLATION_RULES, MONITOR_RULES, Rule


def runbook_page() -> str:
    """Return the page; each rule has the anchor that its `runbook_url` names."""
    sections = "".join(_section(rule) for rule in (*MONITOR_RULES, *INSTALLATION_RULES))
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Flyball: runbook</title>'
        '<link rel="stylesheet" href="/ui/static/style.css"></head><body><main><h1>Runbook</h1>'
        "<p>What the alert rules of <code>flyball monitor export prometheus</code> mean, and what to do.</p>"
        f"{sections}</main></body></html>"
    )


def _section(rule: Rule) -> str:
    steps = "".join(f"<li>{escape(step)}</li>" for step in rule.steps)
    return (
        f'<section id="{escape(rule.name)}"><h2>{escape(rule.name)}</h2><p>{escape(rule.meaning)}</p><ol>{steps}</ol>'
        f'<p class="soft">{rule.severity}, when it holds for {escape(rule.pending)}: <code>{escape(rule.expr.replace("%s", ""))}</code></p>'
        "</section>"
    )
