"""What acceptance found about a model, as the admin reads it."""

from typing import Any

from daemon.cli.prose import heading, paragraph
from daemon.cli.terminal import out, table

_VERDICTS = {
    "accepted": "Accepted.",
    "awaiting": "It passed, and waits for you: the first model learnt with others is yours to look at.",
    "quarantined": "Quarantined: it does not serve, what served before stays.",
}
_REFERENCES = {"local": "the own model", "month": "the model of a month ago"}


def show_report(model_id: str, state: str, report: dict[str, Any]) -> None:
    """Print why a model serves or not, who was in its sum, and what gains by it."""
    heading("Acceptance")
    paragraph(_VERDICTS.get(report.get("verdict", ""), "It was not judged."))
    if decided := report.get("decided"):
        paragraph(f"That was your decision; by the rules it was {decided.get('before', 'unknown')}.")
    checks = report.get("checks", [])
    failed = [check for check in checks if not check["ok"]]
    for check in failed:
        paragraph(f"Fails: {check['sentence']} [{check['id']}{_numbers(check)}]", hanging=2)
    for check in checks:
        if check["ok"]:
            paragraph(f"Holds: {check['sentence']}", hanging=2)
    for warning in report.get("warnings", []):
        paragraph(f"Note: {warning}", hanging=2)
    if survivors := report.get("survivors"):
        paragraph(f"In the sum were: {', '.join(survivors)}.")
    for gains in report.get("gains", []):
        _gains(gains)
    if state in ("awaiting", "quarantined"):
        out.print()
        paragraph(f"Let it serve: shoal models accept {model_id}", indent=0)
        if state == "awaiting":
            paragraph(f"Keep it out: shoal models reject {model_id}", indent=0)


def _numbers(check: dict[str, Any]) -> str:
    value, bound = check.get("value"), check.get("bound")
    return "" if value is None or bound is None else f": {value:,.4g}, at most {bound:,.4g}"


def _gains(gains: dict[str, Any]) -> None:
    rows = [
        (
            kind,
            one.get("title") or one.get("url") or one.get("name") or "(unnamed)",
            f"{one['before']:.1%}",
            f"{one['after']:.1%}",
        )
        for kind, name in (("video", "videos"), ("channel", "channels"), ("instance", "hosts"))
        for one in gains.get(name, [])[:5]
    ]
    against = _REFERENCES.get(gains["against"], gains["against"])
    if not rows:
        paragraph(f"Against {against} nothing gains a place to speak of.")
        return
    heading(f"Share of lists of ten, against {against}: what gains most")
    table(["", "", "BEFORE", "AFTER"], rows, right=("BEFORE", "AFTER"))
