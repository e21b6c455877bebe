"""checkpoints list, show, diff, fork, restore, prune, export and more: the same at an edge and at a
hub."""

from __future__ import annotations

import functools
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from holdfast.host.commands import epilog, output_option
from holdfast.host.output import Output
from holdfast.shell import checkpoint_printing as words
from holdfast.shell import printing
from holdfast.shell.arguments import ACTOR, ACTOR_VARIABLE, DURATION, SIZE, default_actor
from holdfast.shell.doors import Door

if TYPE_CHECKING:
    from holdfast.client import Client

Function = Callable[..., Any]

EXAMPLE = "018f2c1d-9a00-7abc-8def-001122334455"


def commands(door: Door) -> list[click.Command]:
    """The group of them, for one kind of daemon."""

    @click.group(
        "checkpoints",
        epilog=epilog(
            f"{door.program} checkpoints threads",
            f"{door.program} checkpoints list run-7",
            f"{door.program} checkpoints restore run-7 {EXAMPLE} --dry-run",
        ),
    )
    def checkpoints() -> None:
        """States that runs have saved, step by step, and go on from."""

    for make in (_threads, _list, _show, _diff, _export, *_ACTS):
        checkpoints.add_command(make(door))
    return [checkpoints]


# -- looking -----------------------------------------------------------------------------------


def _threads(door: Door) -> click.Command:
    @click.command("threads", epilog=epilog(f"{door.program} checkpoints threads default"))
    @click.argument("space", default="default")
    @click.option("--limit", type=click.IntRange(min=1), default=100, show_default=True)
    @door.takes_client
    @output_option
    def threads(space: str, limit: int, client: Client, output: Output) -> None:
        """List threads: who advances each, and its newest checkpoints. JSON: one object a line."""
        found = client.checkpoints.threads(space=space)
        printing.show(output, words.THREAD_COLUMNS, map(words.thread_row, islice(found, limit)))

    return threads


def _list(door: Door) -> click.Command:
    examples = ("checkpoints list run-7", "checkpoints list run-7 --named --limit 5")

    @click.command("list", epilog=epilog(*(f"{door.program} {each}" for each in examples)))
    @_names_a_thread
    @click.option("--all-namespaces", "all_", is_flag=True, help="Of all namespaces.")
    @click.option("--named", is_flag=True, help="Only those with a name.")
    @click.option("--before", default="", metavar="ID", help="Only those before this one.")
    @click.option("--limit", type=click.IntRange(min=1), default=100, show_default=True)
    @door.takes_client
    @output_option
    def list_(
        thread: str, where: dict[str, Any], all_: bool, named: bool, before: str, limit: int,
        client: Client, output: Output,
    ) -> None:  # fmt: skip
        """List the checkpoints of a thread, newest first. JSON: one object a line."""
        wanted = {**where, "namespace": None} if all_ else where
        found = client.checkpoints.list(thread, named=named, before=before, **wanted)
        printing.show(output, words.COLUMNS, map(words.checkpoint_row, islice(found, limit)))

    return list_


def _show(door: Door) -> click.Command:
    @click.command("show", epilog=epilog(f"{door.program} checkpoints show run-7 {EXAMPLE}"))
    @_names_a_thread
    @click.argument("id_", metavar="[ID]", default="")
    @click.option("--as-of", type=click.IntRange(min=1), help="As of this revision; at a hub only.")
    @door.takes_client
    @output_option
    def show(
        thread: str, where: dict[str, Any], id_: str, as_of: int | None, client: Client,
        output: Output,
    ) -> None:  # fmt: skip
        """Show one checkpoint, by default the newest: its parts and what tasks have written
        since."""
        given = {**where, "as_of": as_of} if as_of else where
        found = client.checkpoints.load_checkpoint(thread, id_, **given)
        document = words.document_of(found)
        document["writes"] = [
            {"task": w.task_id, "index": w.index, "channel": w.channel, "size": len(w.data)}
            for w in found.writes
        ]
        if output.as_json:
            output.facts(document)
            return
        parts, writes = document.pop("parts"), document.pop("writes")
        output.facts(document)
        output.say("")
        rows = [(name, part["tag"], part["size"], part["sha256"]) for name, part in parts.items()]
        output.table(("part", "tag", "size", "sha256"), rows)
        if writes:
            output.say("")
            output.table(tuple(writes[0]), [tuple(write.values()) for write in writes])

    return show


def _diff(door: Door) -> click.Command:
    @click.command(
        "diff", epilog=epilog(f"{door.program} checkpoints diff run-7 {EXAMPLE} {EXAMPLE}")
    )
    @_names_a_thread
    @click.argument("before")
    @click.argument("after", default="")
    @door.takes_client
    @output_option
    def diff(
        thread: str, where: dict[str, Any], before: str, after: str, client: Client, output: Output
    ) -> None:
        """Show what differs between two checkpoints, or one and the newest: the paths in parts
        that are JSON, of others sizes and hashes. JSON: one object a line."""
        found = client.checkpoints.diff(thread, before, after, **where)
        printing.show(output, words.DIFF_COLUMNS, words.changes(found))

    return diff


def _export(door: Door) -> click.Command:
    examples = ("export run-7 --part state", f"export run-7 {EXAMPLE} --to run-7-state")

    @click.command(
        "export", epilog=epilog(*(f"{door.program} checkpoints {each}" for each in examples))
    )
    @_names_a_thread
    @click.argument("id_", metavar="[ID]", default="")
    @click.option("--part", default="", help="Only this part; without --to, to standard output.")
    @click.option(
        "--to", "folder", type=click.Path(path_type=Path, file_okay=False),
        help="A new folder: a file for each part, and checkpoint.json.",
    )  # fmt: skip
    @door.takes_client
    @output_option
    def export(
        thread: str, where: dict[str, Any], id_: str, part: str, folder: Path | None,
        client: Client, output: Output,
    ) -> None:  # fmt: skip
        """Write the contents of a checkpoint, by default of the newest, to files."""
        found = client.checkpoints.load_checkpoint(thread, id_, metadata_only=True, **where)
        names = [part] if part else list(found.parts)
        if part and part not in found.parts:
            raise click.UsageError(f"{found.id} has no part {part!r}: it has {list(found.parts)}")
        if folder is None:
            if not part or output.as_json:
                raise click.UsageError("say where to: --to FOLDER, or --part NAME alone")
            for piece in client.checkpoints.read_part(found, part):
                sys.stdout.buffer.write(piece)
            return
        document = words.document_of(found)
        _write_files(
            folder, document, names, lambda name: client.checkpoints.read_part(found, name)
        )
        output.facts({"checkpoint": found.id, "folder": str(folder), "parts": len(names)})

    return export


def _write_files(
    folder: Path, document: printing.Document, names: Sequence[str],
    read: Callable[[str], Iterator[bytes]],
) -> None:  # fmt: skip
    """A file for each part; names of parts are others' text, so the files have numbers."""
    try:
        folder.mkdir(parents=True)
    except FileExistsError:
        raise click.UsageError(f"{folder} exists: choose another folder") from None
    for number, name in enumerate(names, start=1):
        document["parts"][name]["file"] = f"part-{number}"
        with (folder / f"part-{number}").open("wb") as file:
            for piece in read(name):
                file.write(piece)
    text = json.dumps(document, ensure_ascii=False, indent=2)
    (folder / "checkpoint.json").write_text(text + "\n")


# -- doing -------------------------------------------------------------------------------------


def _fork(door: Door) -> click.Command:
    @click.command("fork", epilog=epilog(f"{door.program} checkpoints fork run-7 {EXAMPLE}"))
    @_names_a_thread
    @click.argument("id_", metavar="ID")
    @click.option("--name", default="", help="Names the new one.")
    @_acts(door)
    def fork(
        thread: str, where: dict[str, Any], id_: str, name: str, actor: Any, client: Client,
        output: Output,
    ) -> None:  # fmt: skip
        """Go on from an earlier checkpoint: a copy of it becomes the newest."""
        made = client.checkpoints.fork(thread, id_, name=name, actor=actor, **where)
        output.facts({"id": made.id, "parent": made.parent})

    return fork


def _restore(door: Door) -> click.Command:
    examples = (f"restore run-7 {EXAMPLE} --dry-run", f"restore run-7 {EXAMPLE} --path /plan")

    @click.command(
        "restore", epilog=epilog(*(f"{door.program} checkpoints {each}" for each in examples))
    )
    @_names_a_thread
    @click.argument("id_", metavar="ID")
    @click.option("--part", "parts", multiple=True, help="Only this part; repeatable.")
    @click.option(
        "--path", "paths", multiple=True, metavar="POINTER",
        help="Only this place of a part that is JSON, such as /plan/0; repeatable.",
    )  # fmt: skip
    @click.option("--dry-run", is_flag=True, help="Only show what would change.")
    @_acts(door)
    def restore(
        thread: str, where: dict[str, Any], id_: str, parts: tuple[str, ...],
        paths: tuple[str, ...], dry_run: bool, actor: Any, client: Client, output: Output,
    ) -> None:  # fmt: skip
        """Put back what an earlier checkpoint had, as a new one on the newest. It shows what that
        changes. JSON: one object a line, the new checkpoint last."""
        done = client.checkpoints.restore(
            thread, id_, parts or None, paths, dry_run=dry_run, actor=actor, **where
        )
        printing.show(output, words.DIFF_COLUMNS, words.changes(done.changes))
        if done.checkpoint is not None:
            made = {"id": done.checkpoint.id, "parent": done.checkpoint.parent}
            output.event(made, f"restored as {done.checkpoint.id}")

    return restore


def _prune(door: Door) -> click.Command:
    examples = ("prune run-7 --last 20 --dry-run", "prune run-7 --daily 7 --younger 2h")

    @click.command(
        "prune", epilog=epilog(*(f"{door.program} checkpoints {each}" for each in examples))
    )
    @_names_a_thread
    @click.option("--last", type=click.IntRange(min=0), help="The newest so many stay.")
    @click.option("--daily", type=click.IntRange(min=0), help="One of each of so many days stays.")
    @click.option("--younger", type=DURATION, help="Those younger than this stay.")
    @click.option("--budget", type=SIZE, help="Of those that need not stay, at most so many bytes.")
    @click.option("--dry-run", is_flag=True, help="Only show what would go.")
    @_acts(door)
    def prune(
        thread: str, where: dict[str, Any], last: int | None, daily: int | None,
        younger: float | None, budget: int | None, dry_run: bool, actor: Any, client: Client,
        output: Output,
    ) -> None:  # fmt: skip
        """Delete checkpoints that need not stay. Heads and those with a name always do."""
        rules: dict[str, Any] = {"last": last, "daily": daily, "ttl_s": younger, "budget": budget}
        rules = {name: rule for name, rule in rules.items() if rule is not None}
        if not rules:
            raise click.UsageError("say what stays: --last, --daily, --younger or --budget")
        space = where["space"]
        done = client.checkpoints.prune(thread, space=space, dry_run=dry_run, actor=actor, **rules)
        if not output.as_json:
            output.table(("namespace", "id"), done.gone)
            output.say("")
        document: printing.Document = {
            "gone": len(done.gone), "kept": done.kept, "freed": done.freed, "dry_run": dry_run,
        }  # fmt: skip
        if output.as_json:
            document["ids"] = [{"namespace": name, "id": id_} for name, id_ in done.gone]
        output.facts(document)

    return prune


def _take(door: Door) -> click.Command:
    @click.command("take", epilog=epilog(f"{door.program} checkpoints take run-7 --force"))
    @_names_a_thread
    @click.option("--force", is_flag=True, help="Also from another node; what that did and has not"
                  " sent yet will wait in the inbox.")  # fmt: skip
    @_acts(door)
    def take(
        thread: str, where: dict[str, Any], force: bool, actor: Any, client: Client, output: Output
    ) -> None:
        """Make the node of this daemon the one that advances a thread."""
        space = where["space"]
        found = client.checkpoints.take(thread, force=force, space=space, actor=actor)
        output.facts(words.thread_document(found))

    return take


def _release(door: Door) -> click.Command:
    @click.command("release", epilog=epilog(f"{door.program} checkpoints release run-7"))
    @_names_a_thread
    @_acts(door)
    def release(
        thread: str, where: dict[str, Any], actor: Any, client: Client, output: Output
    ) -> None:
        """Give a thread back, so that another node can take it."""
        client.checkpoints.release(thread, space=where["space"], actor=actor)
        output.facts({"thread": thread, "holder": ""})

    return release


def _delete(door: Door) -> click.Command:
    @click.command("delete", epilog=epilog(f"{door.program} checkpoints delete run-7"))
    @_names_a_thread
    @_acts(door)
    def delete(
        thread: str, where: dict[str, Any], actor: Any, client: Client, output: Output
    ) -> None:
        """Delete a thread with all its checkpoints."""
        gone = client.checkpoints.delete_thread(thread, space=where["space"], actor=actor)
        output.facts({"thread": thread, "checkpoints": gone})

    return delete


_ACTS = (_fork, _restore, _prune, _take, _release, _delete)


def _acts(door: Door) -> Callable[[Function], Function]:
    """What everything takes that does something."""
    options = (
        click.option(
            "--actor", type=ACTOR, envvar=ACTOR_VARIABLE, default=default_actor,
            metavar="ID[:KIND]", show_default="HOLDFAST_ACTOR, or the user's name",
            help="Who does it; the kind is human, robot, ai or system.",
        ),
        door.takes_client,
        output_option,
    )  # fmt: skip

    def decorate(function: Function) -> Function:
        return functools.reduce(lambda inner, option: option(inner), reversed(options), function)

    return decorate


def _names_a_thread(function: Function) -> Function:
    """The argument that names a thread, and where it is: `where` has space and namespace."""

    @functools.wraps(function)
    def named(*args: Any, space: str, namespace: str, **options: Any) -> Any:
        where = {"space": space, "namespace": namespace}
        return function(*args, where=where, **options)

    found = click.argument("thread")(named)
    found = click.option("--space", default="default", show_default=True, help="Where it is.")(
        found
    )
    return click.option("--namespace", default="", help="A line of checkpoints within it.")(found)
