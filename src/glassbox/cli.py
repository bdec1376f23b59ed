"""The `glassbox` command."""

from __future__ import annotations

import sys
from pathlib import Path

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
@click.option("--source", required=True, help="The source whose patients they are.")
@click.option("--patient", "patients", multiple=True, metavar="ID", help="Can be given often.")
@click.option("--erase", "is_erasure", is_flag=True, help="Remove what holds them; alone it goes on, or follows.")
@click.option("--remote", "remotes", multiple=True, metavar="NAME", help="Erase from this remote of DVC's, too.")
@click.option("--keep-models", is_flag=True, help="Leave the models that saw them.")
@click.option("--archive", type=click.Path(path_type=Path), help="Where the archive without them shall lie.")
def withdraw(
    source: str,
    patients: tuple[str, ...],
    *,
    is_erasure: bool,
    remotes: tuple[str, ...],
    keep_models: bool,
    archive: Path | None,
) -> None:
    """Take patients out of whatever is built from now on; then run `dvc repro`."""
    if is_erasure:
        from glassbox.lineage.erasure.erase import erase

        done = erase(source, patients, names=remotes, keep_models=keep_models, target=archive)
        for line in done.lines:
            click.echo(line)
        if done.left:
            click.echo("\n  ".join(["glassbox withdraw: still there:", *done.left]), err=True)
            sys.exit(1)
        return
    if not patients or remotes or keep_models or archive:
        said = "no --patient" if not patients else "--remote, --keep-models or --archive without --erase"
        raise click.UsageError(f"{said} is given")
    from glassbox.lineage.withdrawal.withdraw import withdraw

    for line in withdraw(source, patients):
        click.echo(line)


@main.command()
def track() -> None:
    """Make MLflow say what is on disk: for a fresh clone or a lost store. Running it again changes nothing."""
    from glassbox.params.document import load
    from glassbox.tracking.run import mirror

    for experiment in load().experiments:
        click.echo(mirror(experiment))


@main.command()
@click.argument("experiment")
@click.argument("alias")
def promote(experiment: str, alias: str) -> None:
    """Register the model of EXPERIMENT in MLflow under ALIAS, with its hashes."""
    from glassbox.tracking import registry

    click.echo(registry.promote(experiment, alias))


@main.command()
@click.argument("model")
@click.option("--without-archive", is_flag=True, help="Pass without the archive, which is not pushed to remotes.")
@click.option("--pixels", default=0, type=click.IntRange(0), help="So many stored images are made again.")
@click.option("--remote", "remotes", multiple=True, metavar="NAME", help="Hash what lies in this remote, too.")
@click.option("--parcel", type=click.Path(path_type=Path), help="Hold it against a parcel exported earlier.")
@click.option(
    "--key", type=click.Path(path_type=Path), help="The public key of whoever signed the parcel, as PEM."
)
@click.option("--images", type=click.Path(path_type=Path), help="Write a row per image and fold: CSV or Parquet.")
@click.option("--diff", "other", metavar="OTHER", help="Say what differs from the model OTHER to MODEL.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document instead of tables.")
def audit(
    model: str,
    *,
    other: str | None,
    without_archive: bool,
    pixels: int,
    remotes: tuple[str, ...],
    parcel: Path | None,
    key: Path | None,
    images: Path | None,
    as_json: bool,
) -> None:
    """Verify everything that made MODEL: a file, PATH@REVISION, an MLflow run's id or models:/NAME@ALIAS."""
    from glassbox.lineage import audit as lineage
    from glassbox.lineage import difference, tell

    audits = [
        lineage.audit(one, Path.cwd(), without_archive=without_archive, again=pixels, remotes=remotes)
        for one in filter(None, [other, model])
    ]
    done = audits[-1]
    if parcel:
        audits[-1] = done = lineage.against(done, parcel, key)
    if images and done.record:
        tell.write_images(done.record, images)
    if other:
        found = difference.differences(*audits)
        told = tell.differences_as_json(found) if as_json else tell.differences(found)
    else:
        told = tell.as_json(done) if as_json else tell.text(done)
    click.echo(told)
    for one in audits:
        if not one.passed:
            click.echo(f"glassbox audit: {one.subject.stage}: {tell.verdict(one)}", err=True)
    sys.exit(any(not one.passed for one in audits))


@main.command()
@click.argument("model")
@click.option("--keep", type=click.Path(path_type=Path), help="Make it in this folder, and leave it there.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document instead of lines.")
def rebuild(model: str, *, keep: Path | None, as_json: bool) -> None:
    """Make MODEL again from its archive, in a checkout of its revision, and compare every artifact."""
    from glassbox.lineage.rebuild import outcome
    from glassbox.lineage.rebuild import rebuild as lineage

    done = lineage.rebuild(model, Path.cwd(), keep=keep)
    for line in [outcome.as_json(done)] if as_json else outcome.lines(done):
        click.echo(line)
    if done.verdict == "different":
        click.echo(f"glassbox rebuild: {outcome.verdict(done)}", err=True)
        sys.exit(1)


@main.command()
@click.argument("model")
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--key", required=True, type=click.Path(path_type=Path), help="The private key that signs, as PEM.")
@click.option("--without-archive", is_flag=True, help="Pass without the archive, which is not pushed to remotes.")
def export(model: str, folder: Path, key: Path, *, without_archive: bool) -> None:
    """Audit MODEL, and write FOLDER: its signed provenance, which others check without Glassbox."""
    from glassbox.lineage.audit import proved
    from glassbox.lineage.parcel import parcel, vault
    from glassbox.tracking.run import attach

    record = proved(model, Path.cwd(), without_archive=without_archive)
    made = parcel.export(record, folder, key, vault.SECRETS)
    click.echo(f"{made.path}: the parcel of {record.experiment}, sha256 {record.model.sha256}")
    click.echo(f"{made.salts}: its patients' salts; keep them as you keep the key")
    if run := attach(record.fingerprint, record.model.sha256, folder):
        click.echo(f"attached to MLflow run {run}")
    click.echo("Give its receivers by another way:")
    click.echo(f"  sha256 of the public key  {made.key_sha256}")
    click.echo(f"  sha256 of verify.py       {made.verifier_sha256}")


@main.command()
@click.argument("parcel", type=click.Path(path_type=Path))
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--patient", "patients", multiple=True, required=True, metavar="ID", help="Whom to disclose.")
def disclose(parcel: Path, folder: Path, patients: tuple[str, ...]) -> None:
    """Write into FOLDER a proof for each patient of who was in PARCEL, and with which images."""
    from glassbox.lineage.parcel import parcel as parcels
    from glassbox.lineage.parcel import vault

    for proof in parcels.disclose(parcel, vault.SECRETS, patients, folder):
        click.echo(proof)


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

    from glassbox.lineage.trace import answer
    from glassbox.lineage.trace import trace as lineage

    found = lineage.trace(Path.cwd(), patient=patient, image=image, source=source)
    for line in [answer.as_json(found)] if as_json else answer.lines(found):
        click.echo(line)
    if found.unread:
        click.echo(f"glassbox trace: {answer.unread(found)}", err=True)
        sys.exit(1)
