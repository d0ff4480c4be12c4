"""The command line, from its own help."""

from typing import Any

import typer.main

from whichloss.cli.main import Exit, app

from .loss import table

CODES = {
    Exit.DONE: "done",
    Exit.FAILED: "something failed: a run, a promise",
    Exit.MISTAKE: "a mistake in files or options: one message, no traceback",
    Exit.NO_WINNER: "with `--require-winner`: no loss alone is the best",
    Exit.INTERRUPTED: "interrupted; finished runs are kept, and the same command resumes",
}


def verbs() -> dict[str, Any]:
    """Each command of ours, by name."""
    return typer.main.get_command(app).commands  # type: ignore[attr-defined]


def commands_page() -> str:
    lines = ["# Command line", "", "Written from the help of each command (`whichloss VERB --help`).", ""]
    for verb, command in verbs().items():
        context = command.make_context(f"whichloss {verb}", [], resilient_parsing=True)
        usage = " ".join(["whichloss", verb, *command.collect_usage_pieces(context)])
        lines += [f"## whichloss {verb}", "", (command.help or "").strip(), "", "```text", usage, "```", ""]
        shown = [record for one in command.params if (record := one.get_help_record(context))]
        rows = [(f"`{name}`", meaning) for name, meaning in shown if name != "--help"]
        lines += table(("option", "meaning"), rows) if rows else []
    lines += ["## Exit codes", "", *table(("code", "meaning"), [(str(int(code)), CODES[code]) for code in Exit])]
    return "\n".join(lines) + "\n"
