"""`trunkline keys`: make and manage the keys that callers use. A running gateway follows within a second.

A secret is printed once, alone on standard output, so that it can be piped into a secret store; everything for people
goes to standard error.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import click

from trunkline.cli import database as db

if TYPE_CHECKING:
    from trunkline.core.call import Key

FORMATS = click.Choice(["table", "json"])
PRIORITY = click.Choice(["interactive", "default", "batch"])
LIMIT_HELP = "What it may use, such as requests=60/minute or cost=5/day (docs/limits.md); repeat for several."


@click.group()
def keys() -> None:
    """Make and manage the keys that callers use.

    A caller sends its key where its SDK puts one: `Authorization: Bearer`, `x-api-key`, `api-key` or `x-goog-api-key`.
    KEY below is a key's id or its name. Changes reach a running gateway within a second.

    \b
    Examples:
      trunkline keys create alice
      trunkline keys create ci --models 'gpt-*' --models smart --expires 90d --tags team-a
      trunkline keys list
      trunkline keys set ci --limit cost=5/day
      trunkline keys rotate ci --grace 1h
      trunkline keys disable alice
    """


@keys.command()
@click.argument("name")
@click.option("--owner", help="Who answers for the key: a person, a team, an address.")
@click.option("--tags", multiple=True, metavar="TAG", help="Put on every call of the key; repeat for several.")
@click.option("--models", multiple=True, metavar="PATTERN", help="Allow only these (* matches anything); repeatable.")
@click.option("--expires", metavar="SPAN|DATE", help="When it ends: 12h, 90d, 2w from now, or 2027-01-31.")
@click.option("--capture", type=click.Choice(["none", "metadata", "full"]), help="What the ledger keeps of its calls.")
@click.option("--team", help="The team it belongs to: its calls count against the team's limits too.")
@click.option("--limit", "limits", multiple=True, metavar="LIMIT", help=LIMIT_HELP)
@click.option("--priority", type=PRIORITY, help="The highest that its calls may have.")
@click.option("--metadata", metavar="JSON", help="A JSON object of your own, kept with the key.")
@db.options
def create(name: str, config: str | None, database: str | None, **fields: Any) -> None:
    """Make a key called NAME and print its secret, once.

    \b
    Examples:
      trunkline keys create alice
      trunkline keys create ci --models 'gpt-*' --expires 90d --metadata '{"cost_centre": 42}'
      trunkline keys create bob --team research --limit requests=60/minute --limit cost=5/day
      trunkline keys create app | kubectl create secret generic trunkline --from-file=key=/dev/stdin
    """
    from trunkline.core.call import KeySpec
    from trunkline.state.keys import KeyStore

    spec = KeySpec(
        name=name,
        owner=fields["owner"],
        tags=fields["tags"],
        models=fields["models"] or None,
        expires_at=_expiry(fields["expires"]),
        capture=fields["capture"],
        metadata=_metadata(fields["metadata"]),
        team=fields["team"],
        limits=fields["limits"],
        priority=fields["priority"],
    )
    with db.opened(config, database, create=True) as (opened, server_secret):
        key, secret = KeyStore(opened, server_secret).create(spec)
    _hand_over(f"Key {key.name} ({key.id}) is made.", secret)


@keys.command("list")
@click.option("--format", "form", type=FORMATS, default="table", show_default=True)
@db.options
def list_(form: str, config: str | None, database: str | None) -> None:
    """List all keys, oldest first.

    \b
    Examples:
      trunkline keys list
      trunkline keys list --format json | jq -r '.[] | select(.disabled) | .name'
    """
    from trunkline.state.keys import KeyStore

    with db.opened(config, database) as (opened, server_secret):
        found = [stored.key for stored in KeyStore(opened, server_secret).load()]
    if form == "json":
        db.print_json([_facts(key) for key in found])
        return
    headings = ["name", "id", "prefix", "state", "owner", "team", "tags", "models", "limits", "created", "expires"]
    now = time.time()
    db.print_table(headings, [_table_row(key, now) for key in found])
    if not found:
        click.echo("No keys yet: `trunkline keys create NAME` makes one.", err=True)


@keys.command()
@click.argument("key")
@db.options
def show(key: str, config: str | None, database: str | None) -> None:
    """Print all that is known of KEY, as JSON. The secret is not: only its hash is kept."""
    from trunkline.state.keys import KeyStore

    with db.opened(config, database) as (opened, server_secret):
        found = KeyStore(opened, server_secret).get(key)
    db.print_json(_facts(found))


@keys.command("set")
@click.argument("key")
@click.option("--team", help="The team it belongs to from now on; '' none.")
@click.option("--limit", "limits", multiple=True, metavar="LIMIT", help=LIMIT_HELP)
@click.option("--no-limits", is_flag=True, help="It has none of its own from now on.")
@click.option("--priority", type=PRIORITY, help="The highest that its calls may have.")
@db.options
def set_(key: str, no_limits: bool, config: str | None, database: str | None, **fields: Any) -> None:
    """Change what KEY may do. Limits that are given take the place of all that it had.

    \b
    Examples:
      trunkline keys set ci --limit requests=600/minute --limit 'cost=100/month soft'
      trunkline keys set ci --team research --no-limits
    """
    from trunkline.core.call import KeyChange
    from trunkline.state.keys import KeyStore

    if no_limits and fields["limits"]:
        raise click.BadParameter("either --limit or --no-limits", param_hint="--no-limits")
    changes: dict[str, Any] = {name: value for name, value in fields.items() if value not in (None, ())}
    if no_limits:
        changes["limits"] = ()
    if "team" in changes:
        changes["team"] = changes["team"] or None
    if not changes:
        raise click.UsageError("nothing to change: give --team, --limit, --no-limits or --priority")
    with db.opened(config, database) as (opened, server_secret):
        found = KeyStore(opened, server_secret).change(key, KeyChange(**changes))
    limits = ", ".join(found.limits) or "none"
    click.echo(f"Key {found.name} ({found.id}): team {found.team or 'none'}, limits {limits}.", err=True)


@keys.command()
@click.argument("key")
@db.options
def disable(key: str, config: str | None, database: str | None) -> None:
    """Refuse the calls of KEY from now on. `enable` undoes it."""
    _set_disabled(key, True, config, database)


@keys.command()
@click.argument("key")
@db.options
def enable(key: str, config: str | None, database: str | None) -> None:
    """Admit the calls of KEY again."""
    _set_disabled(key, False, config, database)


@keys.command()
@click.argument("key")
@click.option("--grace", metavar="SPAN", default="0s", show_default=True, help="How long the old secret stays valid.")
@db.options
def rotate(key: str, grace: str, config: str | None, database: str | None) -> None:
    """Give KEY a new secret and print it, once. Id, name, limits and history stay.

    \b
    Examples:
      trunkline keys rotate ci                 (the old secret ends at once)
      trunkline keys rotate ci --grace 1h      (both work for an hour)
    """
    from trunkline.state.keys import KeyStore

    span = db.seconds(grace)
    with db.opened(config, database) as (opened, server_secret):
        found, secret = KeyStore(opened, server_secret).rotate(key, span)
    until = f"The old secret works until {db.shown_time(time.time() + span)}." if span else "The old secret has ended."
    _hand_over(f"Key {found.name} ({found.id}) has a new secret. {until}", secret)


@keys.command()
@click.argument("key")
@click.option("--yes", is_flag=True, help="Do not ask.")
@db.options
def delete(key: str, yes: bool, config: str | None, database: str | None) -> None:
    """Remove KEY for good. Its calls stay in the ledger. To pause a key, use `disable`."""
    from trunkline.state.keys import KeyStore

    with db.opened(config, database) as (opened, server_secret):
        store = KeyStore(opened, server_secret)
        found = store.get(key)
        if not yes:
            click.confirm(f"Remove key {found.name} ({found.id}) for good?", abort=True, err=True)
        store.delete(found.id)
    click.echo(f"Key {found.name} ({found.id}) is removed.", err=True)


def _set_disabled(reference: str, disabled: bool, config: str | None, database: str | None) -> None:
    from trunkline.state.keys import KeyStore

    with db.opened(config, database) as (opened, server_secret):
        key = KeyStore(opened, server_secret).set_disabled(reference, disabled)
    click.echo(f"Key {key.name} ({key.id}) is {'disabled' if disabled else 'enabled'}.", err=True)


def _hand_over(message: str, secret: str) -> None:
    click.echo(f"{message} This is its secret; it is not shown again:", err=True)
    click.echo(secret)


def _expiry(text: str | None) -> float | None:
    if text is None:
        return None
    # The same spans as elsewhere, but forward from now.
    return time.time() + db.seconds(text) if text[-1:] in db.UNITS else db.moment(text, time.time())


def _metadata(text: str | None) -> dict[str, Any]:
    import msgspec

    try:
        return {} if text is None else msgspec.json.decode(text, type=dict[str, Any])
    except msgspec.MsgspecError as error:
        raise click.BadParameter(f"expected a JSON object ({error})", param_hint="--metadata") from None


def _state(key: Key, now: float) -> str:
    if key.disabled:
        return "disabled"
    return "expired" if key.expires_at is not None and key.expires_at <= now else "active"


def _facts(key: Key) -> dict[str, Any]:
    """What may be shown of a key: all but its hash; times as text."""
    import msgspec

    facts = msgspec.structs.asdict(key)
    del facts["hash"]
    return facts | {"created_at": db.shown_time(key.created_at), "expires_at": db.shown_time(key.expires_at) or None}


def _table_row(key: Key, now: float) -> list[str]:
    models = "all" if key.models is None else " ".join(key.models)
    created, expires = db.shown_time(key.created_at), db.shown_time(key.expires_at) or "never"
    who = [key.name, key.id, key.prefix + "…", _state(key, now), key.owner or "", key.team or ""]
    return [*who, " ".join(key.tags), models, ", ".join(key.limits), created, expires]
