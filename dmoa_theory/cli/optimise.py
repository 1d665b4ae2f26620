"""``dmoa optimise``."""

from __future__ import annotations

from pathlib import Path

from dmoa_theory.cli.optimise_further import Further
from dmoa_theory.cli.optimise_request import Request
from dmoa_theory.cli.options import Options
from dmoa_theory.cli.output import OutFolder, print_json, progress
from dmoa_theory.cli.workable import workable_system
from dmoa_theory.optimisation.choose import optimise as choose
from dmoa_theory.results import jsonable

__all__ = ["optimise"]


def optimise(
    scenario: Path | None = None,
    /,
    *,
    request: Request = Request(),  # noqa: B008 - frozen
    options: Options = Options(),  # noqa: B008 - frozen
) -> int:
    """Choose (M, k): the most accurate configuration within the limits, and the one to defend.

    Parameters
    ----------
    scenario
        A scenario file; default the bundled example.
    """
    from dmoa_theory.cli.optimise_output import print_answer, write_answer

    request.check()
    system, remark = workable_system(options, scenario)
    limits, asked = request.limits(system), request.asked
    out = None if options.out is None else OutFolder(options.out)  # before minutes of work, not after
    with options.speaking_of(scenario):
        with progress("evaluating configurations") as advance:
            result = choose(
                system,
                limits=limits,
                objective=asked.objective,
                robust=asked.robust,
                fitted=asked.fitted,
                simulation=request.simulation,
                seed=request.seed,
                progress=advance,
            )
        further = Further.of(system, limits, result, request, scenario, options, None if out is None else out.path)
    document = {**result.to_dict(), **jsonable(further.to_dict())}
    if remark:
        document["warnings"] = [remark, *document["warnings"]]
    if out is not None:
        write_answer(result, further, document, out)
    if options.json:
        print_json(document)
    else:
        print_answer(system, result, further, remark, out)
    if further.sweep is not None and further.sweep.partial:
        return 130
    feasible = result.feasible if further.individual is None else further.individual.feasible
    return 0 if feasible else 3
