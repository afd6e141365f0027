"""`shoal group`: one sum shared by many instances, carried by a host that one of them is."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from daemon.cli import group_members, group_view
from daemon.cli.instance import Host, Instance, Yes, confirm, name_of
from daemon.cli.prose import heading, paragraph
from daemon.cli.terminal import DEFAULT_CONFIG, ConfigOption, Output, OutputOption, out, result, say
from daemon.errors import RequestError

if TYPE_CHECKING:
    from collections.abc import Mapping

app = typer.Typer(
    help="Learn in a group: one shared sum, which one of its members hosts.", no_args_is_help=True
)


# -- hosting ------------------------------------------------------------------------------------------------


@app.command("host")
def host(
    name: Annotated[str, typer.Argument(metavar="NAME", help="What the group is called.")],
    config: ConfigOption = DEFAULT_CONFIG,
    *,
    url: Annotated[
        str, typer.Option(help="Where this Shoal answers peers, if not behind its own PeerTube's domain.")
    ] = "",
    output: OutputOption = Output.HUMAN,
) -> None:
    """Begin a group with this instance as its host and first member, and show the invitation."""
    from daemon.group import commands

    setting = Instance.open(config)
    made = commands.host(setting.config, setting.engine, name, url=url and _address(url), now=time.time())
    result(output, made, lambda: _show_hosted(made))


@app.command("invite")
def invite(
    host: Host,
    config: ConfigOption = DEFAULT_CONFIG,
    *,
    words: Annotated[str, typer.Option(help="Only if these are the eight words of its key.")] = "",
    yes: Yes = False,
    output: OutputOption = Output.HUMAN,
) -> None:
    """Let an instance in before it asks: by the key on its card, which is approved as a peer's, too."""
    from daemon.group import commands
    from daemon.group.membership.key_verification import KeyEvidence
    from daemon.peers import cards

    setting = Instance.open(config)
    commands.require_speaking(setting.config)
    commands.hosted(setting.engine)
    name = name_of(host)
    card = setting.online(
        lambda session: cards.read_card(session, name, setting.url_of(name), now=time.time())
    )
    seen = KeyEvidence(name, card.key, "domain" if card.bound else "card", card.url)
    group_view.compare(seen, words, yes=yes, output=output)
    commands.invite(setting.config, setting.engine, seen, now=time.time())
    invitation = commands.invitation(setting.config, commands.hosted(setting.engine))

    def show() -> None:
        paragraph(f"Invited {name}: it is a member as soon as it asks. Send its admin this line:", indent=0)
        out.print(f"    {invitation['command']}")

    result(output, {"host": name, "state": "invited", "invitation": invitation}, show)


@app.command("requests")
def requests(config: ConfigOption = DEFAULT_CONFIG, *, output: OutputOption = Output.HUMAN) -> None:
    """List who asks to join, with the words of the key each asks with."""
    from daemon.group import commands

    setting = Instance.open(config)
    waiting = commands.requests(setting.config, setting.engine)
    result(output, {"requests": waiting}, lambda: group_view.show_requests(waiting))


@app.command("approve")
def approve(
    host: Host,
    config: ConfigOption = DEFAULT_CONFIG,
    *,
    words: Annotated[str, typer.Option(help="Only if these are the eight words of its key.")] = "",
    yes: Yes = False,
    output: OutputOption = Output.HUMAN,
) -> None:
    """Let an instance in that asked: compare the words of its key, which is approved as a peer's, too."""
    from daemon.group import commands
    from daemon.group.membership import key_verification

    setting = Instance.open(config)
    commands.require_speaking(setting.config)
    name = name_of(host)
    wish = commands.find_request(setting.engine, name)
    seen = setting.online(
        lambda session: key_verification.verify(
            setting.config, setting.engine, session, name, wish.key, time.time
        )
    )
    group_view.compare(seen, words, yes=yes or seen.voucher == "book", output=output)
    commands.admit(setting.config, setting.engine, seen, now=time.time())
    _decided(setting, name, output, f"{name} is a member from now on, and an approved peer.")


@app.command("refuse")
def refuse(host: Host, config: ConfigOption = DEFAULT_CONFIG, *, output: OutputOption = Output.HUMAN) -> None:
    """Do not let an instance in that asked; it is told when it asks again."""
    from daemon.group import commands

    setting, name = Instance.open(config), name_of(host)
    commands.refuse(setting.config, setting.engine, name, now=time.time())
    _decided(setting, name, output, f"Refused {name}.")


@app.command("eject")
def eject(host: Host, config: ConfigOption = DEFAULT_CONFIG, *, output: OutputOption = Output.HUMAN) -> None:
    """Take a member out, from the next sum on; the others see it in the signed list."""
    from daemon.group import commands

    setting, name = Instance.open(config), name_of(host)
    commands.eject(setting.config, setting.engine, name, now=time.time())
    done = (
        f"{name} is out from the next sum on. It stays an approved peer; to take out also what was learnt "
        f"with it: shoal peers revert {name}"
    )
    _decided(setting, name, output, done)


@app.command("start")
def start(
    config: ConfigOption = DEFAULT_CONFIG,
    *,
    within: Annotated[str, typer.Option("--in", metavar="TIME", help='Such as "30m" or "2h".')] = "",
    at: Annotated[str, typer.Option(metavar="TIME", help='Such as "2026-11-30T20:00", local time.')] = "",
    output: OutputOption = Output.HUMAN,
) -> None:
    """Announce a sum: members connect for it. Without this the host announces one every schedule.session."""
    from daemon.group import commands

    setting = Instance.open(config)
    now = time.time()
    begin = _moment(within, at, now, setting.config.group.notice.total_seconds())
    _require_window(setting, begin, now)
    after = commands.start(setting.config, setting.engine, at=begin, now=now)
    poll = setting.config.group.poll.total_seconds()

    def show() -> None:
        paragraph(f"Announced a sum of {after.group} for {group_view.moment(begin)}.", indent=0)
        if begin - now < poll:
            paragraph(
                "Members that do not ask again before then miss it; they ask every group.poll.", indent=0
            )

    result(output, {"group": after.group, "next_at": after.next_at}, show)


@app.command("close")
def close(
    config: ConfigOption = DEFAULT_CONFIG, *, yes: Yes = False, output: OutputOption = Output.HUMAN
) -> None:
    """End the group that this instance hosts. What was learnt with it stays, here and at its members."""
    from daemon.group import commands

    setting = Instance.open(config)
    commands.require_speaking(setting.config)
    group = commands.hosted(setting.engine)
    confirm(f"Close the group {group.group}?", yes=yes, output=output)
    commands.close(setting.config, setting.engine, now=time.time())
    result(
        output,
        {"group": group.group, "closed": True},
        lambda: paragraph(f"Closed {group.group}. Its members see that nothing is hosted here.", indent=0),
    )


group_members.register(app)


# -- what the commands share --------------------------------------------------------------------------------


def _address(url: str) -> str:
    from daemon.config.types import check_peer_url

    try:
        return check_peer_url(url)
    except ValueError as error:
        raise RequestError(f'--url "{url}" {error}') from None


def _moment(within: str, at: str, now: float, otherwise: float) -> float:
    """Return when a sum is to begin, Unix seconds; without either, in `otherwise` seconds."""
    from datetime import datetime, timedelta

    from daemon.config.types import parse_duration

    if within and at:
        raise RequestError("--in and --at say the same", advice="Give one of them.")
    try:
        if within:
            length = parse_duration(within)
            if not isinstance(length, timedelta) or length < timedelta(0):
                raise ValueError("no duration")
            return now + length.total_seconds()
        # Without a zone it is this machine's.
        return datetime.fromisoformat(at).timestamp() if at else now + otherwise
    except (ValueError, OverflowError):
        raise RequestError(
            f'"{within or at}" is no time', advice='Write --in 2h, or --at "2026-11-30T20:00".'
        ) from None


def _require_window(setting: Instance, begin: float, now: float) -> None:
    """Refuse a sum that members would not give: they give one in a data window.

    Raises:
        NoGroupError: this instance hosts none. PolicyRefusedError: this window's sum is there.

    """
    from datetime import datetime

    from daemon.disclosure.next_sum import aggregator_windows
    from daemon.errors import PolicyRefusedError
    from daemon.group import commands

    group = commands.hosted(setting.engine)
    record = aggregator_windows(setting.config, setting.engine, now)
    free = record.next_at() if record is not None else 0.0
    if now <= begin < free:
        # A full minute, so that the time in the advice is late enough.
        earliest = (free // 60 + 1) * 60
        typed = datetime.fromtimestamp(earliest).astimezone().isoformat(timespec="minutes")
        raise PolicyRefusedError(
            f"the members of {group.group} gave their sum for this data window; the next can be taken from "
            f"{group_view.moment(earliest)} on",
            advice=f"Announce it for then: shoal group start --at {typed}. See privacy.window.",
        )


def _decided(setting: Instance, name: str, output: Output, done: str) -> None:
    from daemon.group import repository, status

    described = next(
        (one for one in status.members(setting.config, setting.engine) if one["host"] == name), None
    )
    found = described or {
        "host": name,
        "state": getattr(repository.member(setting.engine, name), "state", "left"),
    }
    result(output, found, lambda: paragraph(done, indent=0))


def _show_hosted(made: Mapping[str, Any]) -> None:
    paragraph(f"This instance hosts the group {made['group']}, and is its first member.", indent=0)
    heading("Invite others")
    paragraph("Send their admins this line:")
    out.print(f"\n    {made['command']}\n")
    paragraph("and on the telephone, so that they know it is you, the words of this instance's key:")
    out.print()
    group_view.show_words(made["words"])
    heading("What happens next")
    for line in (
        "The daemon, if it runs, starts Flower's SuperLink on this machine and a TLS listener before it.",
        "Whoever asks to join: shoal group requests. Let each in: shoal group approve HOST.",
        "With enough members sums are announced by themselves; when you choose: shoal group start --at TIME.",
    ):
        paragraph(f"- {line}", hanging=2)
    if not made["public"]:
        say(
            "Members on other machines cannot reach the listener yet: set group.listen_host, or "
            "group.public_url where something passes connections on."
        )
