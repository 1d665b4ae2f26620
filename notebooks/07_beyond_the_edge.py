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
# # 7 · Beyond the edge: overload, failure, and the central server
#
# Plans are made for good days. This notebook asks about the others: more load than can be carried, a device that breaks, and
# whether it would not have been better to buy one large machine.
#
# ## Outside the region
#
# Take the bundled desks at five times their load. Which queues grow, how fast, and what still gets through? This is a *fluid
# limit*: exact in the long run, chance averaged out.

# %%
# %matplotlib inline
from dmoa_theory import load_scenario, overload, simulate, simulate_burst

system = load_scenario()
busy = system.with_rates(5 * system.rates)
result = overload(busy)
result

# %% [markdown]
# *Nominal* load is what would be offered if every query went through. *Effective* load is what arrives: a query held up in
# one queue does not send its next jobs to others, so the overload shields the rest a little.

# %%
print(f"of {3600 * busy.rates.sum():.0f} prompts an hour, {3600 * result.throughput:.0f} are answered")

# %% [markdown]
# Does the fluid tell the truth? A hundred simulated runs, from empty queues, against its straight lines. (After eleven hours
# the runs get no more prompts, and work off what is there.)

# %%
from dmoa_theory.plots import plot_growth

seen = simulate_burst(busy, until=40_000.0, replications=100, seed=1)
plot_growth(result, seen.trajectories).figure

# %% [markdown]
# The simulator does not average what grows. It says what grows:

# %%
long_run = simulate(busy, queries=20_000, seed=1)
print(long_run.stable, *long_run.reasons(), sep="\n")

# %% [markdown]
# ## A burst is not a steady state
#
# The published experiment sends ten prompts, one per second, into four empty devices. Four such devices can carry a hundredth
# of that rate. So what it measured is how a burst is worked off, which depends on how many prompts there were:

# %%
from dmoa_theory import MoA, ServiceTime, System, build_topology

paper = System(
    network=build_topology("complete", n=4),
    arrival_rate=0.25,  # prompts/s of each user, one a second in all
    service=ServiceTime.gamma(45.6, scv=0.25),
    moa=MoA(M=2, k=3),
)
for prompts in (10, 20, 40):
    burst = simulate_burst(paper, prompts=prompts, replications=200, seed=1)
    print(f"{prompts} prompts: mean latency {burst.mean.value / 60:.0f} min")

# %%
from dmoa_theory.plots import plot_trajectories

plot_trajectories(simulate_burst(paper, prompts=10, replications=200, seed=1)).figure

# %% [markdown]
# All devices fill up at once and are empty again after twenty minutes. There is no latency of this system to speak of, only
# of this burst.
#
# ## One thing breaks
#
# Planners of power grids ask for *N-1 security*: whatever single thing fails, the rest still works. Here every device of the
# clinic of notebook 2 is lost in turn, with two neighbours asked and half as much load again. Each row is a loss, each column
# a device:

# %%
from dmoa_theory import single_losses
from dmoa_theory.plots import plot_single_losses

clinic = load_scenario("../examples/clinic.toml", overrides=["moa.k=2"])
clinic = clinic.with_rates(1.5 * clinic.rates)
losses = single_losses(clinic)
plot_single_losses(losses).figure

# %% [markdown]
# The server is the least busy device of all, and the worst to lose: what it did in six seconds the wards and desks now have
# to do, in thirty or forty. Here is what the users feel:

# %%
from dmoa_theory import lose, loss_effect
from dmoa_theory.plots import plot_loss

without = lose(clinic, ["server"])
plot_loss(loss_effect(without)).figure

# %% [markdown]
# Over a year it is a question of probabilities. If every device is up 95 % of the time, how often is a prompt answered, and
# how often is everything that is left stable? Users who notice who is down ask fewer; users who do not (`blind`) wait for
# answers that never come, and a quorum is what saves them.

# %%
from dataclasses import replace

from dmoa_theory import availability

with_quorum = replace(clinic, moa=MoA(1, 2, quorum=2))
for name, each, blind in (("they notice", clinic, False), ("blind", clinic, True), ("blind, quorum 2 of 3", with_quorum, True)):
    found = availability(each, 0.95, blind=blind)
    print(f"{name:21s} answered {100 * found.answered_share:.1f} %")

# %% [markdown]
# ## One large machine instead
#
# The same total compute in one place, as four servers with one queue, or as one server four times as fast. What does
# distribution cost, and what does it buy?

# %%
from dmoa_theory import against_central

central = against_central(system, round_trip=0.2, availability=0.95, devices=availability(system, 0.95))
central

# %%
from dmoa_theory.plots import plot_central

plot_central(central).figure

# %% [markdown]
# On equal compute, **one fast server is hard to beat for speed**: it puts all of its compute into the prompt at hand and
# balances load without trying. Four slow servers that work off a query's inferences one after another are another matter: the
# network asks in parallel, and is faster as long as queues are short. Distribution is bought for other reasons: the devices
# are there already, the prompts stay where they are, and no single failure takes everybody down.
#
# ## Exercise
#
# How much slower may the central server be (`speed=`) before its p95 at the present load is no better than that of the four
# desks? What does a round trip of ten seconds to a crowded data centre change?
#
# *Hint.* Loop over `against_central(system, servers=1, speed=s).centrals[0].quantile(0.95)` and compare with
# `latency(system).p95`. `round_trip` simply adds to every answer.
