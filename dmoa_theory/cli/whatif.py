"""``dmoa whatif``."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from dmoa_theory.cli.names import split_links, split_names
from dmoa_theory.cli.options import SECONDS, WHOLE, Options, only_beside
from dmoa_theory.cli.output import OutFolder, console, print_json, print_lines, print_table, progress
from dmoa_theory.errors import InputError
from dmoa_theory.quantities import show_number, show_share
from dmoa_theory.stability.loads import utilisation

if TYPE_CHECKING:
    from rich.console import Console

    from dmoa_theory.model.system import System
    from dmoa_theory.results import Result
    from dmoa_theory.whatif.availability import Availability
    from dmoa_theory.whatif.central import CentralComparison
    from dmoa_theory.whatif.effect import LossEffect
    from dmoa_theory.whatif.single_losses import SingleLosses

__all__ = ["whatif"]

_UNSTABLE = 3


def whatif(
    scenario: Path | None = None,
    /,
    *,
    lose: Annotated[
        str | None,
        Parameter(help='Lose these devices at once, by name or number: "a,b"; exit code 3 if what is left is unstable.'),
    ] = None,
    lose_link: Annotated[
        str | None,
        Parameter(
            help='Lose these links: "a-b" both ways ("a - b" where names hold dashes), "a->b" only that a asks b; several with '
            "commas."
        ),
    ] = None,
    links: Annotated[
        bool, Parameter(negative="", help="N-1 of the links too, both ways at once; N-1 ends with 0, secure or not.")
    ] = False,
    when_short: Annotated[
        str, Parameter(help='Who has fewer neighbours left than k: asks "fewer", or is "cut-off".')
    ] = "fewer",
    latencies: Annotated[
        str | None, Parameter(help='N-1: latency after "all" losses (default up to 30 devices), the "worst" five, or "none".')
    ] = None,
    availability: Annotated[
        str,
        Parameter(
            help='Probability that a device is up: who is answered, is the rest stable? One number, or "0.99,0.9,..."; of the '
            "whole network, also beside --lose."
        ),
    ] = "",
    link_availability: Annotated[
        float | None, Parameter(help="Probability that a link is up, with --availability; default 1.")
    ] = None,
    blind: Annotated[bool, Parameter(negative="", help="With --availability: users do not know who is up.")] = False,
    samples: Annotated[
        int | None,
        WHOLE,
        Parameter(help="With --availability: states to draw where they are too many to go through; default 10,000."),
    ] = None,
    seed: Annotated[int | None, WHOLE, Parameter(help="With --availability: same seed, same states; default 0.")] = None,
    central: Annotated[
        bool, Parameter(negative="", help="Beside it, one central server of the same total compute; of the whole network.")
    ] = False,
    servers: Annotated[str, Parameter(help='Servers of the centre, such as "8" or "8,1"; default one a device, and one.')] = "",
    speed: Annotated[float, Parameter(help="Compute of the centre, relative to all devices together.")] = 1.0,
    round_trip: Annotated[float, SECONDS, Parameter(help='Seconds, or "80 ms", to the centre and back.')] = 0.0,
    central_availability: Annotated[float | None, Parameter(help="Probability that the centre is up.")] = None,
    bare: Annotated[bool, Parameter(negative="", help="The centre runs one inference a prompt, not the same query.")] = False,
    load_factor: Annotated[float, Parameter(help="Multiply all rates by this first.")] = 1.0,
    options: Options = Options(),  # noqa: B008 - frozen
) -> int:
    """What if something fails, or one central server did it all? By default every single device is lost in turn (N-1).

    Ends with 3 when what is left after --lose or --lose-link is unstable or nobody; without these, when the system as it is
    given (times --load-factor) is unstable. A network that is not N-1 secure is an answer, and ends with 0.

    Parameters
    ----------
    scenario
        A scenario file; default the bundled example.
    """
    beside = {"--link-availability": link_availability, "--samples": samples, "--seed": seed, "--blind": blind or None}
    only_beside("--availability", bool(availability), beside)
    system = _scaled(options.system(scenario), load_factor)
    devices = split_names(lose or "", system.network, field="--lose")
    gone = split_links(lose_link or "", system.network)
    for option, text, named in (("--lose", lose, devices), ("--lose-link", lose_link, gone)):
        if text is not None and not named:
            raise InputError(option, text, "at least one to lose; without the option every single one is lost in turn")
    given = bool(devices or gone)
    centre = central or bool(servers) or speed != 1 or round_trip != 0 or central_availability is not None or bare
    found = _Answers(system=system, load_factor=load_factor)
    if links or not (given or availability or centre):
        from dmoa_theory.whatif.single_losses import single_losses

        with _options(when_short="when-short", latency="latencies"), progress("losing one after the other") as advance:
            found.singles = single_losses(system, links=links, when_short=when_short, latency=latencies, progress=advance)
    if given:
        from dmoa_theory.whatif.effect import loss_effect
        from dmoa_theory.whatif.loss import lose as take_away

        with _options(devices="lose", links="lose-link", when_short="when-short"):
            loss = take_away(system, devices, gone, when_short=when_short)
        with progress("before and after") as advance:
            found.effect = loss_effect(loss, progress=advance)
    if availability:
        from dmoa_theory.whatif.availability import availability as how_often

        names = {"devices": "availability", "links": "link-availability", "when_short": "when-short"}
        with _options(**names), progress("going through states") as advance:
            found.up = how_often(
                system,
                _numbers("availability", availability),
                links=1.0 if link_availability is None else link_availability,
                when_short=when_short,
                blind=blind,
                samples=10_000 if samples is None else samples,
                seed=seed or 0,
                progress=advance,
            )
    if centre:
        from dmoa_theory.whatif.central import against_central

        with _options(availability="central-availability", round_trip="round-trip"):
            found.central = against_central(
                system,
                servers=_whole_numbers(servers),
                speed=speed,
                round_trip=round_trip,
                availability=central_availability,
                devices=found.up,
                bare=bare,
            )
    document = found.document()
    written = None if options.out is None else _write(found, document, OutFolder(options.out))
    if options.json:
        print_json(document)
    else:
        _report(found)
        if written is not None:
            print_lines(console(), [str(written)])
    stable = found.effect.stable if found.effect is not None else document["before"]["stable"]
    return 0 if stable else _UNSTABLE


@dataclass(slots=True, kw_only=True)
class _Answers:
    """What was asked, as far as it has been answered."""

    system: System
    load_factor: float
    singles: SingleLosses | None = None
    effect: LossEffect | None = None
    up: Availability | None = None
    central: CentralComparison | None = None

    def document(self) -> dict[str, Any]:
        """The JSON of all answers."""
        from dmoa_theory import __version__
        from dmoa_theory.results import Source, jsonable
        from dmoa_theory.whatif.document import document

        parts = {"single_losses": self.singles, "loss": self.effect, "availability": self.up, "central": self.central}
        reasons = [
            reason for part in (self.singles, self.effect, self.central) if part is not None for reason in part.reasons()
        ]
        payload = document(
            self.system,
            load_factor=self.load_factor,
            reasons=reasons,
            **{name: None if part is None else part.part() for name, part in parts.items()},
        )
        head = {"schema": "dmoa/whatif/1", "version": __version__, "source": Source.APPROXIMATION.value}
        return {**head, **jsonable(payload)}


@contextmanager
def _options(**names: str) -> Iterator[None]:
    """Let complaints name the option, which may be called otherwise: the scenario has been read."""
    try:
        yield
    except InputError as error:
        head, bracket, rest = error.field.partition("[")
        raise error.located(field=f"--{names.get(head, head)}{bracket}{rest}") from None


def _scaled(system: System, factor: float) -> System:
    if not (math.isfinite(factor) and factor > 0):
        raise InputError("--load-factor", factor, "a finite number above 0")
    if factor == 1:
        return system
    try:
        return system.with_rates(system.rates * factor)
    except InputError:
        raise InputError("--load-factor", factor, "a factor that leaves rates one can compute with") from None


def _numbers(field: str, text: str) -> float | list[float]:
    try:
        found = [float(part) for part in text.split(",")]
    except ValueError:
        raise InputError(field, text, 'probabilities, such as "0.99", or one a device with commas') from None
    return found[0] if len(found) == 1 else found


def _whole_numbers(text: str) -> list[int] | None:
    try:
        return [int(part) for part in text.split(",")] if text else None
    except ValueError:
        raise InputError("servers", text, 'whole numbers, such as "8" or "8,1"') from None


def _report(found: _Answers) -> None:
    from dmoa_theory.cli.report import headline

    out = console()
    print_lines(out, headline(found.system))
    if found.singles is not None:
        _say(out, found.singles, _singles_lines(found.singles))
    if found.effect is not None:
        _say(out, found.effect, _loss_lines(found.effect))
    others = [name for name, part in (("availability", found.up), ("the comparison with a centre", found.central)) if part]
    if others and found.effect is not None:
        said = " and ".join(others)
        print_lines(out, [f"Of the whole network, without that loss, {'are' if len(others) > 1 else 'is'} {said}:"])
    if found.up is not None:
        _say(out, found.up, _availability_lines(found.up))
    if found.central is not None:
        _say(out, found.central, _central_lines(found.central))
    print_lines(out, (f"Beware: {text}." for text in found.system.warnings()))


def _say(out: Console, part: Result, lines: Iterator[str]) -> None:
    print_table(out, part.table())
    print_lines(out, lines)


def _singles_lines(result: SingleLosses) -> Iterator[str]:
    """The verdict, the worst single loss, and how much load any loss leaves room for."""
    worst, scale = result.worst, result.secure_scale
    growing = int((~result.stable).sum())
    left = result.critical_scale[worst]
    if not math.isfinite(left):
        yield "No single loss leaves any load."
        return
    then = result.system.network.name(int(result.busiest[worst]))
    before = float(utilisation(result.system).max())
    if before >= 1:
        yield f"UNSTABLE already with nothing lost: the busiest device is offered {show_share(before)} of its time."
    if result.secure:
        yield "N-1 secure: whatever single one is lost, the queues that are left stay bounded."
    elif growing:
        yield f"NOT N-1 secure: {growing} of {len(result.label)} single losses leave a device with more work than it can do."
    else:
        yield "NOT N-1 secure, though no single loss leaves a device with more work than it can do."
    yield f"Worst single loss: {result.label[worst]}; then {then} is busiest, at {show_share(float(result.load[worst]))}."
    yield f"Every single loss is survived up to {show_number(scale)} times this load."
    if any(map(math.isfinite, result.mean_after.tolist())):
        yield "In brackets: against the mean latency of the same users before."
    hit = int(result.cut_off_share.argmax())
    if result.cut_off_share[hit] > 0:
        yield (
            f"Most prompts are cut off without {result.label[hit]}: {show_share(float(result.cut_off_share[hit]))}. "
            "A lost device takes its own user along."
        )


def _loss_lines(effect: LossEffect) -> Iterator[str]:
    """Whether what is left holds, and for whom."""
    loss, name = effect.loss, effect.loss.before.network.name
    if effect.busiest is None:
        yield f"Without {loss.label} nobody with prompts is left."
        return
    if effect.stable:
        busiest = f"busiest {name(effect.busiest)}, at {show_share(effect.load)}"
        yield f"Without {loss.label} every queue that is left stays bounded; {busiest}."
        if math.isfinite(effect.critical_scale):
            yield f"The rates that are left may grow up to {show_number(effect.critical_scale)} times."
    else:
        yield f"UNSTABLE without {loss.label}: {name(effect.busiest)} is offered {effect.load:.3g} seconds of work a second."
        yield f"Queues stay bounded when all rates that are left are scaled by less than {effect.critical_scale:.3g}."
    if loss.cut_off.size:
        yield f"Cut off: {_some([name(u) for u in loss.cut_off.tolist()])}, {show_share(loss.cut_off_share)} of the prompts."
    if loss.short.size:
        rule = "ask as many as they have" if loss.when_short == "fewer" else "send no prompts"
        yield f"Too few neighbours left for their k: {_some([name(u) for u in loss.short.tolist()])}; they {rule}."


def _availability_lines(up: Availability) -> Iterator[str]:
    """Shares over all prompts, and what they rest on."""
    from dmoa_theory.whatif.availability import show_chance

    bound = "" if up.exact.all() else "at least "
    yield f"{bound}{show_chance(up.answered_share)} of the prompts are answered, waits left out of account."
    held = show_chance(up.stable.value)
    spread = f" (95 % interval {show_chance(up.stable.low)} to {show_chance(up.stable.high)})" if up.sampled else ""
    yield f"What is left is stable with probability {held}{spread}."
    if up.served is not None:
        yield f"Answered while it is stable: {show_chance(up.served.value)} of the prompts."
    how = f"{up.states:,} states drawn, seed {up.seed}" if up.sampled else f"all {up.states:,} states"
    yield f"Parts fail independently, and stay as they are for a whole query; {how}."


def _central_lines(result: CentralComparison) -> Iterator[str]:
    """What is compared, and what that leaves out."""
    work = "one inference a prompt" if result.bare else "the same inferences"
    compute = "equal compute" if result.speed == 1 else f"{show_number(result.speed)} times the compute of all devices"
    yield f"The centre runs {work} on {compute}."
    for central in result.centrals:
        if not central.stable:
            yield f"UNSTABLE: the centre of {central.label} is offered {central.pool.load:.3g} times what it can do."
    if not result.estimate.stable:
        yield "UNSTABLE: the distributed network is offered more work than its busiest device can do."
    yield (
        "At the centre a query is one job, its inferences one after the other on one server, and nothing is batched: "
        "the same compute in fewer and faster servers answers sooner."
    )
    yield "The centre's waits are those of M/G/c, scaled from Erlang's C; exact for one server in the mean."
    yield "When the centre fails nobody is answered; when a device fails its own user is not."


def _some(names: list[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")


def _write(found: _Answers, document: dict[str, Any], out: OutFolder) -> OutFolder:
    from dmoa_theory.plots.whatif import plot_central, plot_loss, plot_single_losses

    out.document("whatif.json", document)
    parts = {"single_losses": found.singles, "loss": found.effect, "availability": found.up, "central": found.central}
    for name, part in parts.items():
        if part is None:
            out.remove((f"{name}.csv", f"{name}.png"))
        else:
            out.table(f"{name}.csv", part.records())
    if found.singles is not None:
        out.picture("single_losses.png", plot_single_losses(found.singles))
    if found.effect is not None:
        out.picture("loss.png", plot_loss(found.effect))
    if found.central is not None:
        out.picture("central.png", plot_central(found.central))
    return out
