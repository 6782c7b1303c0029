"""``riskd explain``: why a rule says what it says, on one screen, to be redone by hand."""

from __future__ import annotations

import argparse
import sys
import textwrap
from typing import Any
from urllib.parse import urlencode

from monitor.cli.client import NoAnswerError, add_arguments, ask, print_json
from monitor.cli.status import HEIGHT, WIDTH, age

Document = dict[str, Any]
MISTAKE, NO_ANSWER = 2, 3
# What is left out first where the screen is too short: words; what other rules say, which stands
# with the conditions too; parts; comparisons that stand above already; how what has not begun would
# end; other subjects.
_HELP, _RULES, _PARTS, _AGAIN, _END, _OTHERS, _ALWAYS = range(7)
# Measures whose text names subjects and times.
_FIRING = frozenset({"rule_firing", "rule_firing_here"})
Line = tuple[int, str]


def arguments(parser: argparse.ArgumentParser) -> None:
    """Which rule, about whom, of which riskd."""
    parser.add_argument("rule", help="its id, as `riskd rules list` and the page say")
    parser.add_argument(
        "subject",
        nargs="?",
        default="",
        help="account:hyperliquid/main, or a part of it; default: the worst that it is asked about",
    )
    add_arguments(parser)
    parser.add_argument(
        "--all", action="store_true", help="whatever one screen has no room for, uncut"
    )
    parser.add_argument("--json", action="store_true", help="all of it as JSON")
    parser.epilog = (
        "Every number is as the rule read it, with its age; what is unknown says why. Comparisons\n"
        "show the bare numbers, so that the arithmetic can be done again by hand.\n"
        "exit code: 0 explained, 2 no such rule or subject, 3 riskd does not answer"
    )


def run(arguments: argparse.Namespace) -> int:
    """Ask and print."""
    query = urlencode({"rule": arguments.rule, "subject": arguments.subject})
    try:
        document = ask(arguments, f"/v1/explain?{query}", key="rule")
    except NoAnswerError as error:
        print(error, file=sys.stderr)
        return NO_ANSWER
    if "error" in document:
        print(document["error"], file=sys.stderr)
        return MISTAKE
    if arguments.json:
        print_json(document)
    else:
        print("\n".join(uncut(document) if arguments.all else screen(document)))
    return 0


def uncut(document: Document) -> list[str]:
    """Every line, wrapped where it is too long."""
    texts = []
    for _, text in _lines(document):
        blank = " " * (len(text) - len(text.lstrip()) + 4)
        texts += textwrap.wrap(
            text, WIDTH, subsequent_indent=blank, drop_whitespace=True, break_on_hyphens=False
        )
    return texts


def screen(document: Document) -> list[str]:
    """At most ``HEIGHT`` - 1 lines of at most ``WIDTH`` characters. What it waits for and what it
    asks for stands on it, however much was read."""
    lines = _lines(document)
    room = HEIGHT - 1
    for rank in (_HELP, _RULES, _PARTS, _AGAIN, _END, _OTHERS):
        if len(lines) > room:
            lines = [line for line in lines if line[0] != rank]
    texts = [text if len(text) <= WIDTH else f"{text[: WIDTH - 1]}…" for _, text in lines]
    if len(texts) <= room:
        return texts
    foot = [text for _, text in [*_timers(document), *_asked(document)]]
    kept = room - 1 - len(foot)
    more = f"  … and {len(texts) - len(foot) - kept} more lines (--all shows them)"
    return [*texts[:kept], more, *foot]


def _lines(document: Document) -> list[Line]:
    return [
        *_head(document),
        *_conditions(document),
        *_inputs(document),
        *_timers(document),
        *_asked(document),
        *_tail(document),
    ]


def _head(document: Document) -> list[Line]:
    rule, state = document["rule"], document["state"]
    target = f" to {rule['target']}" if rule["target"] else ""
    title = f"{rule['id']}  {rule['severity']}, {rule['level']}{target}, {rule['mode']}"
    standing = f"{state['state'].upper()} {age(state['since_s'])}".replace(" -", "")
    lines = [
        (_ALWAYS, f"{title:<{WIDTH - len(standing) - 1}} {standing}"),
        (_ALWAYS, f"about {document['subject']}: {rule['summary']}"),
    ]
    if state["error"]:
        lines.append((_ALWAYS, f"CANNOT BE JUDGED  {state['error']}"))
    return lines


def _conditions(document: Document) -> list[Line]:
    verdict = document["verdict"].upper()
    why = " because its data is missing" if document["by_absence"] else ""
    lines = [(_ALWAYS, f"VERDICT  {verdict}{why}")]
    flags = {flag["name"]: flag for flag in document["flags"]}
    begun = document["state"]["state"] in {"firing", "recovering"}
    for condition in document["conditions"]:
        field = condition["field"]
        flag = flags.get(field.removeprefix("flags."))
        counted = ""
        if flag is not None:
            counted = f" for {age(flag['since_s'])}, counts {flag['counts'].upper()}"
        lines.append(
            (_ALWAYS, f"  {field} {condition['verdict'].upper()}{counted}: {condition['text']}")
        )
        for one in condition["comparisons"]:
            text = f"    {one['name']} {one['value']} {one['op']} {one['limit']}: {one['verdict']}"
            rank = _ALWAYS if begun or field not in {"until", "reentry"} else _END
            lines.append((_AGAIN if (_ALWAYS, text) in lines else rank, text))
    return lines


def _inputs(document: Document) -> list[Line]:
    lines: list[Line] = [(_ALWAYS, "READ")]
    told: set[str] = set()
    # What is unknown first: that is what a person has to find out about.
    for one in sorted(document["inputs"], key=lambda one: one["value"] is not None):
        where = "" if one["subject"] == document["subject"] else f" of {one['subject']}"
        if one["value"] is None:
            first = f"  {one['name']}{where}: UNKNOWN, "
            lines += [(_ALWAYS, text) for text in _filled(first, one["reason"], indent=4)[:2]]
        elif one["measure"] in _FIRING and one["value"] == 1.0:
            # Whom it fires about and since when; its long name stands with the condition.
            lines += [(_OTHERS, f"  {text[4:]}") for text in _wrapped(one["shown"])[:3]]
            continue
        else:
            rank = _RULES if one["subject"].startswith("rule:") else _ALWAYS
            lines.append((rank, f"  {one['name']}{where} = {_value(one)}"))
        lines += [(_HELP, text) for text in _wrapped(one["help"])]
        # The steps name the parts; one that two numbers share stands under the first.
        steps = one["arithmetic"]
        lines += [(_ALWAYS, text) for text in _packed([step for step in steps if step not in told])]
        told.update(steps)
        lines += [
            (_PARTS, f"    from {part['measure']} {part['shown']}{_because(part['reason'])}")
            for part in ([] if steps else one["parts"])
        ]
    return lines


def _value(one: Document) -> str:
    """Number and age; how a person says it only where the steps to it do not say more."""
    said = f" ({one['shown']})" if one["shown"] != one["number"] and not one["arithmetic"] else ""
    guess = ", estimated" if one["estimated"] else ""
    return f"{one['number']}{said}, {age(one['age_s'])} old{guess}"


def _packed(steps: list[str]) -> list[str]:
    """Short steps share a line: with all of a desk's rungs the screen has few."""
    lines: list[str] = []
    for step in steps:
        if lines and len(lines[-1]) + len(step) + 2 <= WIDTH:
            lines[-1] += f"; {step}"
        else:
            lines += textwrap.wrap(step, WIDTH, initial_indent="    ", subsequent_indent="      ")
    return lines


def _because(reason: str) -> str:
    return f" ({reason})" if reason else ""


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(text, WIDTH, initial_indent="    ", subsequent_indent="    ")


def _timers(document: Document) -> list[Line]:
    rule, state = document["rule"], document["state"]
    said = []
    if rule["for_s"]:
        held = f", held {age(state['pending_s'])}" if state["pending_s"] is not None else ""
        said.append(f"fires after {age(rule['for_s'])}{held}")
    if rule["confirm"]:
        confirm = rule["confirm"]
        said.append(
            f"confirmed by {state['confirmed']} of {confirm['need']} observations "
            f"{age(confirm['apart_s'])} apart"
        )
    if rule["within_s"]:
        said.append(f"a flag counts for {age(rule['within_s'])}")
    if rule["keep_firing_for_s"]:
        held = f", held {age(state['recovering_s'])}" if state["recovering_s"] is not None else ""
        said.append(f"ends after {age(rule['keep_firing_for_s'])} of a known end{held}")
    if state["unknown_s"] is not None:
        said.append(f"unknown for {age(state['unknown_s'])}")
    if state["reentry_pending"]:
        said.append("ended; the way back waits for `reentry` and a person")
    return [(_ALWAYS, text) for text in _filled("TIMERS  ", "; ".join(said))] if said else []


def _filled(first: str, text: str, indent: int | None = None) -> list[str]:
    blank = " " * (len(first) if indent is None else indent)
    lines = textwrap.wrap(text, WIDTH, initial_indent=first, subsequent_indent=blank)
    return lines or [first.rstrip(" ,")]


def _asked(document: Document) -> list[Line]:
    if not document["action"]:
        return []
    return [(_ALWAYS, text) for text in _filled("ACTION  ", document["action"])]


def _tail(document: Document) -> list[Line]:
    rule = document["rule"]
    lines: list[Line] = []
    if document["others"]:
        names = [
            f"{one['subject']} {'unknown' if one['unknown'] else one['state']}"
            for one in document["others"][:3]
        ]
        more = document["subjects"] - 1 - len(names)
        text = ", ".join(names) + (f" and {more} more" if more > 0 else "")
        lines += [(_OTHERS, line) for line in _filled("ALSO    ", text)[:2]]
    lines.append((_OTHERS, f"RULE    {rule['where']}; runbook {rule['runbook']}"))
    return lines
