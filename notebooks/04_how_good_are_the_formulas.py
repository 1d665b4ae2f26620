# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 4 · How good are the formulas?
#
# Loads and regions are exact. **Latencies are not**: a query forks to random neighbours that are themselves users of the same
# queues, its next layer waits for the slowest job, and neighbours' queues are long at the same times. There is no exact
# formula, and none of the textbook's assumptions holds. So there are two things: an approximation, and a judge.
#
# ## The judge
#
# The simulator follows every inference of every prompt through first-come-first-served queues, exactly, millions of them a
# second, and says how sure each figure is. Warm-up is dropped, and every interval holds the truth with a probability of 95 %.

# %%
# %matplotlib inline
from dmoa_theory import latency, load_scenario, simulate

system = load_scenario()  # the bundled example, at half of what it can carry
system = system.with_rates(1.7 * system.rates)
result = simulate(system, queries=80_000, seed=1)
result

# %%
print(result.device_table())

# %% [markdown]
# A simulation has a whole distribution, not only four figures: one prompt in a thousand is on this picture as well as every
# other.

# %%
from dmoa_theory.plots import plot_latency_distribution, plot_queue_lengths

plot_latency_distribution(result).figure

# %%
plot_queue_lengths(result).figure

# %% [markdown]
# Who judges the judge? Three things. Each run checks Little's law and the conservation of work on its own sums (the largest
# relative deviation is rounding). Textbook cases come out as the textbook has them. And a run can be written down job by job
# and played through a second, plain simulator that shares no code with the first:

# %%
import numpy as np

from dmoa_theory.simulation.kernel.recorded_run import record_run
from dmoa_theory.simulation.traces.reference import run_reference

run = record_run(system, queries=1_000, seed=1)
again = run_reference(run.trace)
print("laws of conservation hold to", f"{result.balance:.0e}")
print("both simulators agree to the last bit:", bool(np.array_equal(run.latency, again.latency)))

# %% [markdown]
# `precision` goes on until mean and p95 are known that well, or says that it could not:

# %%
tight = simulate(system, queries=20_000, seed=1, precision=0.04)
print(f"asked for 4 %, reached {100 * tight.reached:.1f} % with {tight.queries:,} queries")

# %% [markdown]
# ## The approximation, side by side
#
# The same system by formula and by simulation: the difference in per cent, and in standard errors of the simulation.

# %%
from dmoa_theory.compare import compare, compare_over_load

compare(latency(system), result)

# %% [markdown]
# Over the whole range of loads, with the errors below. The shaded bands are not fitted to this picture: they are what the
# estimate *says beforehand* of itself.

# %%
from dmoa_theory.plots import plot_over_load

sweep = compare_over_load(system, [0.2, 0.4, 0.6, 0.8], queries=60_000, seed=2)
plot_over_load(sweep)

# %% [markdown]
# ## The error that is stated beforehand
#
# Several hundred random systems, to which nothing was fitted, were simulated at length: their errors are in a bundled table.
# A new system is compared with the forty most like it.

# %%
expected = latency(system).expected_error
print(f"mean: {expected.mean}")
print(f"p95:  {expected.p95}")
print(f"from: {expected.basis}")

# %% [markdown]
# The map of them, a dot a system. In the left column is what dmoa uses; beside it the textbook formula for independent queues
# (Pollaczek-Khinchine), and the simplest of all (M/M/1). The second and third are far off just where one would use them: at
# high load.

# %%
from dmoa_theory.plots import plot_latency_errors

errors = plot_latency_errors()
errors.set_dpi(80)
errors

# %% [markdown]
# ## Where it fails
#
# The largest errors of the study, and what those systems have in common:

# %%
import pandas as pd

from dmoa_theory.delay.expected_error import validation_rows

study = pd.DataFrame(validation_rows())
for name in ("load", "scv", "mean", "p95"):
    study[name] = study[name].astype(float)
worst = study.reindex(study["mean"].abs().sort_values(ascending=False).index).head(6)
worst[["kind", "load", "scv", "mean", "p95"]].round(3)

# %%
study.groupby("kind")[["mean", "p95"]].agg(lambda error: round(100 * error.abs().mean(), 1)).add_prefix("typical error, %: ")

# %% [markdown]
# Hard, in the p95 above all, are *quorums* with service that hardly varies. Who goes on after the first answers leaves jobs in
# queues that it comes back to. The formula follows a query past its own leftovers, but takes the jobs of others as they come at
# random; two queries of constant service that once collide go on in step, layer after layer. What the study did not draw, such
# as service times that depend on each other, the estimate has not been tried on.
#
# One such case, made to be hard: four devices, constant service, three layers, and in each only the first of four answers is
# waited for.

# %%
from dmoa_theory import MoA, ServiceTime, System, build_topology, stability_region

hard = System(
    network=build_topology("complete", n=4),
    arrival_rate=0.001,
    service=ServiceTime.gamma(mean=20.0, scv=0.0),
    moa=MoA(M=3, k=3, quorum=1),
)
print(f"busiest device: {100 * stability_region(hard).bottleneck.utilisation:.0f} %")
estimate, truth = latency(hard), simulate(hard, queries=50_000, seed=1)
for name in ("mean", "p95"):
    said, seen = getattr(estimate, name), float(getattr(truth, name).value)
    print(f"{name}: {said:.1f} s by formula, {seen:.1f} s by simulation: {100 * (said / seen - 1):+.1f} %")
    print(f"  stated beforehand: {getattr(estimate.expected_error, name)}")

# %% [markdown]
# The mean is good; of the p95 even the stated error is too small. It is the common experience of systems like it, not a bound.
# If you use quorums with service that hardly varies, simulate: it takes a second.
#
# ## What cannot be wrong: bounds
#
# Whatever the dependence between queues, a layer of two jobs takes at least as long as the longer of their means, and at most
# as long as if they conspired to be slow in turn. Two exponential jobs of 10 s each:

# %%
from dmoa_theory.delay.fork_join_bounds.laws import GammaLaw
from dmoa_theory.delay.fork_join_bounds.stage_bounds import stage_bounds

job = GammaLaw(10.0, 100.0)  # mean, variance
bounds = stage_bounds(job, [job])
print(f"between {bounds.lower:.2f} s (in step) and {bounds.upper:.2f} s (in turn); independent: 15.00 s")

# %% [markdown]
# Bounds never fail, but they are wide. That is why there is an approximation at all, why its error is printed beside it, and
# why `dmoa latency --verify` simulates your own system in a few seconds.
#
# ## Exercise
#
# Is it the quorum, or the constant service times, that makes the p95 of `hard` hard? And does a quorum of 2 or 3 pay here, in
# latency as simulated?
#
# *Hint.* `dataclasses.replace(hard, moa=MoA(M=3, k=3, quorum=q))` for q from 1 to 4, and `service=` with an SCV of 1
# likewise. `compare(latency(s), simulate(s, queries=100_000))` tells how far off, and whether that is more than noise.
