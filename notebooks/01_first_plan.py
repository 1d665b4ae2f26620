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
# # 1 · From zero to a plan in five minutes
#
# Some devices each hold one small language model. A user's prompt goes to the own device and to `k` neighbours; when all have
# answered, that is one *layer*. After `M` layers the own device writes the final answer from what it was told. Nobody else
# coordinates: this is a **distributed Mixture-of-Agents** ([arXiv:2412.21200](https://arxiv.org/abs/2412.21200)).
#
# Asking more, more often, may give better answers, and certainly makes more work. So:
#
# * do the **queues stay bounded**, and what gives way first?
# * **how long** do people wait, on average and at the 95th percentile?
# * **which (M, k)** should run?
#
# You need `pip install -e .` in a clone, nothing else.

# %%
# %matplotlib inline
from dmoa_theory import load_scenario, make_plan
from dmoa_theory.plots import plot_plan

system = load_scenario()  # the bundled example; load_scenario("office.toml") for your own
system

# %% [markdown]
# Four desks, one small model each. The service times were measured on one thread of a server CPU: reading 120 tokens and
# writing 200 takes half a minute. The whole plan is one call, and one picture.

# %%
plan = make_plan(system)
plot_plan(plan)

# %% [markdown]
# Now panel by panel.
#
# ## Do the queues stay bounded?
#
# A device that is sent more than one second of work per second falls behind for ever. How many jobs reach it follows by
# counting; no approximation is involved.

# %%
plan.region

# %%
region = plan.region
print(f"all rates may grow to {region.critical_scale:.2f} times what they are; then {region.bottleneck.name} is full")

# %% [markdown]
# The same as a picture for two of the users, the others as they are. Inside the shaded area every queue stays bounded.

# %%
from dmoa_theory.plots import plot_section

plot_section(region.section("desk-1", "desk-4")).figure

# %% [markdown]
# ## How long do people wait?
#
# Waiting times in such a network have no exact formula, so this is an **approximation, printed with its expected error**: how
# far estimates of comparable systems were from an exact simulation. [Notebook 4](04_how_good_are_the_formulas.ipynb) looks
# into that.

# %%
plan.latency

# %%
from dmoa_theory.plots import plot_latency

plot_latency(plan.latency).figure

# %% [markdown]
# ## Which (M, k)?
#
# The scenario sets limits: 300 s for the 95th percentile, 4 GiB a device. The accuracies are those of the paper, measured on
# ten prompts each: 13 points of standard error. Look at the error bars before you trust their order.

# %%
from dmoa_theory.plots import plot_choice

plot_choice(plan.decision).figure

# %%
plan.decision

# %% [markdown]
# With errors that large the highest dot is not simply the best. What is recommended has to stand up to the uncertainty of the
# accuracies, of the service times and of the latency formula, and what is recommended is simulated before it is said.

# %%
print(plan.decision.why)

# %%
verified = plan.decision.verified()["recommended"]
for row in verified["figures"][1:3]:
    print(f"{row['figure']}: predicted {row['predicted']:.1f} s, simulated {row['value']:.1f} ± {row['ci95']:.1f} s")

# %% [markdown]
# ## What if everybody asked three times as often?
#
# Systems never change; `with_rates` and `with_moa` give you another one.

# %%
from dmoa_theory import optimise

busier = optimise(system.with_rates(3 * system.rates))
busier

# %% [markdown]
# One configuration is left: everybody for themselves. What was worth waiting for is not any more.
#
# ## Your own system
#
# In a scenario file (`dmoa init office.toml` writes a commented one; `dmoa plan office.toml` prints all of this), or in
# Python:

# %%
from dmoa_theory import Constraints, MoA, ServiceTime, System, build_topology

office = System(
    network=build_topology("ring", n=6),
    arrival_rate=[0.004, 0.004, 0.004, 0.0, 0.0, 0.0],  # prompts/s; three of the devices only help
    service=ServiceTime.gamma(mean=20.0, scv=0.3, later=1.4, aggregate=1.4),  # seconds; later stages read more, so take longer
    moa=MoA(M=1, k=2),
    constraints=Constraints(p95_latency=150.0),
)
optimise(office)

# %% [markdown]
# ## Exercise
#
# Your three users of `office` become twice as many: the other three start to ask as often. Which (M, k) is recommended now,
# and up to which common rate does (M, k) = (1, 2) stay stable?
#
# *Hint.* `office.with_rates(0.004)` gives every user that rate; `optimise(...)` and `stability_region(...).critical_scale` do
# the rest. On a ring with `k = 2` everybody asks both neighbours, so the second answer is also $1 / (20 \cdot 3 + 28)$ by
# hand.
