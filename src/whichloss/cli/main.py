"""whichloss: which loss function should this network be trained with?

Nothing heavy is imported here, so that help answers at once; each verb imports what it needs.
"""

import os
import sys
from enum import IntEnum
from pathlib import Path
from typing import Annotated, Any

try:
    import typer
except ImportError:  # the library of losses was installed alone
    sys.exit("whichloss: the command line needs more than torch: pip install 'whichloss[study]'")


class Exit(IntEnum):
    """Exit codes."""

    DONE = 0
    FAILED = 1  # a run, a promise
    MISTAKE = 2  # the user's; one clear message
    NO_WINNER = 3  # with --require-winner
    INTERRUPTED = 130


app = typer.Typer(
    help="Which loss function should this network be trained with?",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

StudyArgument = Annotated[str, typer.Argument(metavar="STUDY", help="A study file, or the name of a shipped study.")]
StoreOption = Annotated[Path, typer.Option("--store", help="Folder that keeps finished runs.")]
RootOption = Annotated[Path | None, typer.Option("--data-root", help="Folder in which the study's data lie.")]
SetOption = Annotated[
    list[str] | None, typer.Option("--set", help="key=value: another value for one key of the study; may be repeated.")
]
NameOption = Annotated[str | None, typer.Option("--name", help="Name of the study, instead of the file's.")]
MixedOption = Annotated[
    bool, typer.Option("--allow-mixed", help="Compare runs even if versions, device or threads differ.")
]


@app.command()
def losses(
    names: Annotated[list[str] | None, typer.Argument(help="A loss, by name or expression; several to plot.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
    plot: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Curve and derivative as a picture; of several, with a zoom.")
    ] = None,
    markdown: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the page of all losses.")] = None,
) -> None:
    """The catalogue of losses, or one of them: formula, card, curve, source."""
    from .losses import plot_losses, show_catalogue, show_loss

    if markdown is not None:
        from .losses_page import losses_page

        markdown.write_text(losses_page(), encoding="utf-8")
    elif names and len(names) > 1:
        if plot is None or as_json:
            raise typer.BadParameter("several losses are for --plot FILE", param_hint="NAMES")
        plot_losses(names, plot)
    elif names:
        show_loss(names[0], as_json, plot)
    else:
        show_catalogue(as_json)


@app.command()
def check(
    loss: Annotated[
        str, typer.Argument(metavar="LOSS", help="Any loss: 'Dice() + Focal()', or 'package.module:MyLoss(a=1)'.")
    ],
    like: Annotated[str, typer.Option(metavar="LOSS", help="A loss that it should have the values of.")] = "",
    bounds: Annotated[
        tuple[float, float] | None, typer.Option("--range", metavar="LOW HIGH", help="What should hold its values.")
    ] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Remarks, such as NaN in float16, are faults, too.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="As one JSON object.")] = False,
    html: Annotated[Path | None, typer.Option(metavar="FILE", help="Also write a page that stands alone.")] = None,
) -> None:
    """A report card for anyone's loss: what it takes, what it promises, and at which input a promise breaks.

    A fault (exit code 1) is a wrong order, value or gradient, or NaN in float32, on ordinary input, or a crash. What
    may be meant is a remark, and no fault: NaN in float16 or at logits beyond 20, no single graph for torch.compile,
    a sum instead of a mean, no price for false positives on an empty image. What does not apply, such as weights that
    a loss does not take, is called that, and not kept. Time and memory stand beside those of cross-entropy, and are
    never judged.
    """
    from .check import check_loss

    raise typer.Exit(check_loss(loss, like, bounds, as_json, html, strict))


@app.command()
def init(
    path: Annotated[str, typer.Argument(metavar="PATH", help="A folder, an archive, a table or a file of arrays.")],
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="The study file to write.")] = Path("study.yaml"),
    data_root: RootOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
) -> None:
    """Look at your own data, say what was found and what looks wrong, and write a study of them."""
    from .init import write_study

    raise typer.Exit(write_study(path, out, data_root, as_json))


@app.command()
def run(
    study: StudyArgument,
    store: StoreOption = Path("whichloss-runs"),
    data_root: RootOption = None,
    changes: SetOption = None,
    name: NameOption = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Worker processes; default one a core, or a GPU.")] = None,
    retries: Annotated[int, typer.Option(min=0, help="How often a failed run is tried again at once.")] = 0,
    limit: Annotated[
        float | None, typer.Option(metavar="MINUTES", help="Stop a run that takes longer; the others go on.")
    ] = None,
    memory: Annotated[
        float | None, typer.Option(metavar="GB", help="Main memory that each worker may take (Linux).")
    ] = None,
    track: Annotated[
        list[str] | None,
        typer.Option(metavar="TOOL:PLACE", help="Also log to tensorboard[:DIR] or mlflow:URI; may be repeated."),
    ] = None,
    on: Annotated[
        str, typer.Option(metavar="ENGINE", help="local, ray, ray:HOST:PORT, ray://HOST:PORT, slurm or slurm:local.")
    ] = "local",
    cpus: Annotated[
        int | None, typer.Option("--cpus-per-run", min=1, help="Cores of each run on a cluster; default 1.")
    ] = None,
    gpus: Annotated[
        float | None, typer.Option("--gpus-per-run", help="GPUs of each run on a cluster, or a part: 0.25.")
    ] = None,
    slurm: Annotated[
        list[str] | None,
        typer.Option(metavar="KEY=VALUE", help="For submitit: partition, time, mem_gb, ...; may be repeated."),
    ] = None,
    plan: Annotated[bool, typer.Option("--plan", help="Only say what would be run, and how long it may take.")] = False,
    allow_mixed: MixedOption = False,
    require_winner: Annotated[
        bool, typer.Option("--require-winner", help="Exit with 3 unless one loss alone is the best.")
    ] = False,
) -> None:
    """Probe, run what is not finished, and judge. Running again resumes."""
    from .study import run_study

    for option, value in (("--limit", limit), ("--memory", memory)):
        if value is not None and not value > 0:
            raise typer.BadParameter(f"{value:g} is not above 0", param_hint=option)
    if plan and on != "local":
        raise typer.BadParameter("the plan measures this machine; leave out --on", param_hint="--plan")
    effort = {
        "workers": workers, "retries": retries, "limit": limit, "memory": memory, "track": track or (),
        "place": {"on": on, "cpus": cpus, "gpus": gpus, "slurm": slurm or []},
    }  # fmt: skip
    raise typer.Exit(run_study(study, store, data_root, changes, name, effort, plan, allow_mixed, require_winner))


@app.command()
def report(
    study: StudyArgument,
    others: Annotated[list[str] | None, typer.Argument(help="Further studies, to lay side by side.")] = None,
    store: StoreOption = Path("whichloss-runs"),
    data_root: RootOption = None,
    changes: SetOption = None,
    name: NameOption = None,
    allow_mixed: MixedOption = False,
    markdown: Annotated[Path | None, typer.Option(help="Also write the verdict and its table as Markdown.")] = None,
    paper: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Also write figures, tables, methods and BibTeX for a paper.")
    ] = None,
    predictions: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Also write the answers on the test parts: masks, or a table.")
    ] = None,
) -> None:
    """Table, verdict and page from whatever is finished; of several studies, a page with all of them, too."""
    from .study import report_beside, report_study

    if others:
        if changes or name or markdown or paper or predictions:
            raise typer.BadParameter(
                "--set, --name, --markdown, --paper and --predictions are for one study", param_hint="report"
            )
        raise typer.Exit(report_beside([study, *others], store, data_root, allow_mixed))
    raise typer.Exit(report_study(study, store, data_root, changes, name, allow_mixed, markdown, paper, predictions))


@app.command()
def compare(
    tables: Annotated[
        list[str],
        typer.Argument(metavar="TABLE...", help="Scores in a CSV file, or NAME=FILE of one loss; FILE may hold *."),
    ],
    baseline: Annotated[str, typer.Option(metavar="LOSS", help="The loss that all others are compared with.")] = "",
    metric: Annotated[str, typer.Option(help="The metric that decides, where there are several.")] = "",
    rope: Annotated[float | None, typer.Option(help="The smallest difference that matters.")] = None,
    higher: Annotated[
        bool | None, typer.Option("--higher-is-better/--lower-is-better", help="Which way the metric is better.")
    ] = None,
    redrawn: Annotated[bool, typer.Option("--folds-redrawn", help="Folds were drawn anew for each seed.")] = False,
    fixed: Annotated[bool, typer.Option("--folds-fixed", help="All seeds have the same folds.")] = False,
    draws: Annotated[
        bool, typer.Option("--draws", help="Each seed is a training set of its own; one test set.")
    ] = False,
    given: Annotated[bool, typer.Option("--given", help="One split; seeds differ by chance alone.")] = False,
    n_train: Annotated[
        str | None, typer.Option(metavar="N|rest", help="Cases trained on, if no table says; rest: of the other folds.")
    ] = None,
    n_test: Annotated[int | None, typer.Option(min=1, metavar="N", help="Cases tested, if no table says.")] = None,
    undefined: Annotated[
        float | None, typer.Option(metavar="VALUE", help="What a case without a value counts; default: left out.")
    ] = None,
    cases: Annotated[str, typer.Option(metavar="FILE", help="All cases: case, and fold and patient where known.")] = "",
    annotations: Annotated[str, typer.Option(metavar="FILE", help="Lesions, for lists of candidates (LUNA16).")] = "",
    excluded: Annotated[str, typer.Option(metavar="FILE", help="Findings that are neither true nor false.")] = "",
    data: Annotated[str, typer.Option(help="The data set that decides, where there are several.")] = "",
    network: Annotated[str, typer.Option(help="The network that decides, where there are several.")] = "",
    stress: Annotated[str, typer.Option(help="The stress that decides; default none.")] = "",
    name: Annotated[str, typer.Option(help="Name of the comparison.")] = "comparison",
    question: Annotated[str, typer.Option(help="The question, for the page.")] = "",
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder for results.csv, verdict.json, report.html.")] = Path(
        "whichloss-compare"
    ),
    require_winner: Annotated[
        bool, typer.Option("--require-winner", help="Exit with 3 unless one loss alone is the best.")
    ] = False,
) -> None:
    """The same verdict and page for scores computed elsewhere: CSV, nnU-Net, MIST, LUNA16."""
    from whichloss.compare import Asked

    from .compare import compare_scores, design_of, trained_on

    asked = Asked(
        tables=tuple(tables), baseline=baseline, metric=metric, rope=rope, higher_is_better=higher,
        design=design_of(refold=redrawn, fixed=fixed, draws=draws, given=given), n_train=trained_on(n_train),
        n_test=n_test, undefined=undefined, cases=cases, annotations=annotations, excluded=excluded, data=data,
        network=network, stress=stress, name=name, question=question,
    )  # fmt: skip
    raise typer.Exit(compare_scores(asked, out, require_winner))


@app.command()
def doctor() -> None:
    """What this installation can and cannot do, and how to mend it."""
    from .doctor import examine

    raise typer.Exit(examine())


def main() -> Any:
    """The console command. A mistake of the user's is one message, not a traceback."""
    try:
        code = Exit(app(standalone_mode=False) or Exit.DONE)
    except KeyboardInterrupt:
        code = Exit.INTERRUPTED
    except Exception as error:
        names = {cls.__name__ for cls in type(error).__mro__}
        if not names & _MISTAKES:
            raise
        text = error.format_message() if "ClickException" in names else str(error)  # type: ignore[attr-defined]
        print(text if "NoArgsIsHelpError" in names else f"whichloss: {text}", file=sys.stderr)
        code = Exit.MISTAKE
    if code == Exit.INTERRUPTED:  # the parser below turns Ctrl-C into this code without a word
        print("interrupted; finished runs are kept, and the same command resumes", file=sys.stderr)
    sys.exit(code)


# By name: importing the classes would import torch, and the parser's own are a private copy of click's.
_MISTAKES = {"UserError", "TableError", "ClickException"}


if __name__ == "__main__":
    sys.path.insert(0, os.getcwd())
    main()
