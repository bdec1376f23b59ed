"""The `glassbox` command."""

from __future__ import annotations

import sys

import click

from glassbox.errors import GlassboxError

# Click ends a wrong command line with 2; here every refusal is 1.
click.UsageError.exit_code = 1


class _Commands(click.Group):
    """Turns a user's mistake into one message and status 1."""

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except GlassboxError as error:
            sys.exit(f"glassbox {ctx.invoked_subcommand}: {error}")


@click.group(cls=_Commands)
def main() -> None:
    """Rebuild published chest-X-ray models bit for bit, and prove what made them."""


@main.command()
@click.argument("profile")
@click.argument("overrides", nargs=-1, metavar="[KEY=VALUE]...")
def use(profile: str, overrides: tuple[str, ...]) -> None:
    """Compose params.yaml from conf/profile/PROFILE.yaml; then run `dvc repro`."""
    from glassbox import profiles

    for line in profiles.use(profile, list(overrides)):
        click.echo(line)


@main.command()
@click.argument("experiment")
@click.argument("draws", nargs=-1, required=True, metavar="KEY=LOW..HIGH|KEY=VALUE,VALUE...")
@click.option("--trials", default=8, show_default=True, type=click.IntRange(1), help="How many to draw.")
@click.option("--seed", default=0, show_default=True, type=click.IntRange(0), help="Seed of the draws.")
def sweep(experiment: str, draws: tuple[str, ...], trials: int, seed: int) -> None:
    """Queue a random search over parameters of EXPERIMENT; then run `dvc queue start`."""
    from glassbox import sweeps

    for trial in sweeps.queue(experiment, [sweeps.Draw.of(draw) for draw in draws], count=trials, seed=seed):
        click.echo(", ".join(f"{place.rpartition('.')[2]} {value}" for place, value in trial.items()))


@main.command()
def track() -> None:
    """Make MLflow say what is on disk: for a fresh clone or a lost store. Running it again changes nothing."""
    from glassbox.params.document import load
    from glassbox.tracking.run import mirror

    for experiment in load().experiments:
        click.echo(mirror(experiment))


@main.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document instead of a table.")
def doctor(*, as_json: bool) -> None:
    """Say what stands in the way of `dvc repro`: credentials, disk, cores, accelerators, link type, versions."""
    import json

    from glassbox.doctor.checkup import findings
    from glassbox.doctor.finding import line

    found = []
    for finding in findings():
        found.append(finding)
        if not as_json:
            click.echo(line(finding))
    problems = list(dict.fromkeys(finding.name for finding in found if finding.status == "problem"))
    if as_json:
        click.echo(
            json.dumps({"ok": not problems, "findings": [finding._asdict() for finding in found]}, indent=2)
        )
    if problems:
        click.echo(f"glassbox doctor: in the way of `dvc repro`: {', '.join(problems)}", err=True)
        sys.exit(1)
    if not as_json:
        click.echo("Nothing stands in the way of `dvc repro`.")


@main.command()
@click.option("--patient", metavar="ID", help="Who to look for.")
@click.option("--image", metavar="ID", help="What to look for.")
@click.option("--source", help="Look at this source alone: one id may stand for others elsewhere.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document instead of tables.")
def trace(*, patient: str | None, image: str | None, source: str | None, as_json: bool) -> None:
    """List every model of any revision that saw a patient or an image: in training, in validation, in a test."""
    from pathlib import Path

    from glassbox.lineage import answer
    from glassbox.lineage import trace as lineage

    found = lineage.trace(Path.cwd(), patient=patient, image=image, source=source)
    for line in [answer.as_json(found)] if as_json else answer.lines(found):
        click.echo(line)
    if found.unread:
        click.echo(f"glassbox trace: {answer.unread(found)}", err=True)
        sys.exit(1)
