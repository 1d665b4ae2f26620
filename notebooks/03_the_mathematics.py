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
# # 3 · The mathematics: from counting to Theorem 1, and to your own graph
#
# When do the queues stay bounded? The answer needs nothing but counting: how many jobs reach a device, and how long each
# keeps it busy. Here the computer does the algebra (sympy), first for the case of the paper, then for any graph, and in the
# end a simulation says whether to believe it.
#
# ## The rule
#
# User $u$ sends prompts at rate $\lambda_u$. One layer of a query brings one job to the own device and one to each of $k$
# neighbours, drawn uniformly among $d_u$. A given neighbour is among them with probability $k/d_u$, so in one layer device
# $i$ receives
#
# $$v_i = \lambda_i + \sum_{j \,\to\, i} \lambda_j \frac{k}{d_j}$$
#
# jobs per second. There are $M$ layers, and at the end one aggregation at home: $R_i = M v_i + \lambda_i$. If a job takes
# $\alpha_i$ seconds, then $\rho_i = \alpha_i R_i$ seconds of work arrive per second, and that must be below one.
#
# ## The paper's case
#
# On the complete graph with equal devices and equal rates this becomes Theorem 1. Every line below is worked out, none is
# typed in.

# %%
# %matplotlib inline
from dmoa_theory.symbolic.theorem_one import derive_theorem_one

theorem = derive_theorem_one()
theorem

# %% [markdown]
# A result is a sympy expression and can be used as one. How many layers can there be?

# %%
import sympy

from dmoa_theory.symbolic.symbols import M

sympy.solve(sympy.Eq(theorem.find("load"), 1), M)[0]

# %% [markdown]
# It becomes a function of numbers or arrays, too:

# %%
import numpy as np

rho = theorem.function("load")
rho(M=2, k=np.arange(4), alpha=30.0, lam=0.002)

# %% [markdown]
# ## Another graph, another theorem
#
# In a star all leaves can ask the centre only. The derivation finds the two *roles* that devices play, and which of them
# gives way first at every size.

# %%
from dmoa_theory.symbolic.families import family_pattern
from dmoa_theory.symbolic.stability import derive_stability

print(derive_stability(family_pattern("star")).table())

# %%
from dmoa_theory.plots import plot_critical_curves
from dmoa_theory.stability.family_curves import critical_curves
from dmoa_theory.symbolic.family_rates import family_rate

curves = critical_curves("bipartite")
formula = family_rate("bipartite", M=curves.M, k=curves.ks[None, :], **curves.parameters())
plot_critical_curves(curves, np.broadcast_to(formula, curves.rate.shape))

# %% [markdown]
# Lines are the derived formula, marks are networks that were built and counted device by device. The kink is where the two
# sides are equally large, and the bottleneck changes sides.
#
# ## Your graph
#
# Any network will do; every device has symbols of its own. Four devices, of which `d` hangs on `c` alone:

# %%
import networkx as nx

from dmoa_theory import Network
from dmoa_theory.symbolic.graphs import network_pattern

kite = Network.from_networkx(nx.Graph([("a", "b"), ("b", "c"), ("c", "a"), ("c", "d")]), description="kite")
own = derive_stability(network_pattern(kite))
print(own.table())

# %% [markdown]
# Read the line of `c`: of the prompts of `a` and `b` it receives half (`k/2`), of those of `d` every one. In LaTeX for a
# paper:

# %%
from IPython.display import Math
from sympy import Eq, Symbol

Math(sympy.latex(Eq(Symbol("rho_c"), own.find("load", 2), evaluate=False)))

# %% [markdown]
# ## The region
#
# The loads are linear in the rates. All rates that keep every queue bounded therefore form a polytope: one half-space per
# device. A section for two users, and the body for three:

# %%
from dmoa_theory import MoA, ServiceTime, System, stability_region
from dmoa_theory.plots import plot_body, plot_section

system = System(
    network=kite,
    arrival_rate=[0.004, 0.004, 0.004, 0.004],
    service=ServiceTime.exponential([20.0, 30.0, 24.0, 40.0]),
    moa=MoA(2, 1),
)
region = stability_region(system)
plot_section(region.section("a", "d")).figure

# %%
plot_body(region.body("a", "b", "d")).figure

# %% [markdown]
# Numbers and symbols come from different code, so they can check each other:

# %%
values = {f"lambda_{i}": rate for i, rate in enumerate(system.rates)} | {"alpha_2": 24.0, "M": 2, "k": 1}
print("load of c, counted:", region.utilisation[2])
print("load of c, derived:", own.function("load", 2)(**values))

# %% [markdown]
# ## Is load below one really enough?
#
# That load above one is too much is plain. That load *below* one is enough is not: there are networks of
# first-come-first-served queues that grow without bound although no server is fully loaded. For many systems it is proved
# (`docs/theory/stability.md`), and the region says by which theorem:

# %%
print(region.guarantee.verdict, "-", region.guarantee.theorem)

# %% [markdown]
# And here it is tried: the mean number of waiting jobs over time, from empty queues, 10 % below the boundary and 10 % above.
# (After seventeen hours prompts cease, and the queues are worked off.)

# %%
import matplotlib.pyplot as plt

from dmoa_theory import simulate_burst
from dmoa_theory.plots import house_style, plot_trajectories

with house_style():
    figure, panels = plt.subplots(1, 2, figsize=(10.0, 4.2), layout="constrained")
for axes, factor in zip(panels, (0.9, 1.1), strict=True):
    scaled = system.with_rates(factor * region.critical_scale * system.rates)
    run = simulate_burst(scaled, until=60_000.0, replications=40, seed=1)
    plot_trajectories(run, ax=axes, note=f"{100 * factor:.0f} % of the largest load")
plt.show()

# %% [markdown]
# Above the boundary only one queue runs away: that of the bottleneck. How fast, what still gets through, and when a buffer is
# full, is the subject of [notebook 7](07_beyond_the_edge.ipynb).
#
# ## Exercise
#
# Give the kite one more link, a–d. Guess first: can all rates grow further then, or less far? Then compute it, and derive the
# new conditions. Which term has changed sides?
#
# *Hint.* Add `("a", "d")` to the list of edges and compare `critical_scale` and `bottleneck`. Links share work out more
# evenly, and even is not always fair: look at who is the slowest device.
