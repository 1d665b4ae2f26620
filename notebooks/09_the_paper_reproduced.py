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
# # 9 · The paper, reproduced
#
# P. Mitra, P. Kaswan and S. Ulukus, *Distributed Mixture-of-Agents for Edge Inference with Large Language Models*
# ([arXiv:2412.21200](https://arxiv.org/abs/2412.21200)), print one theorem, four drawings and two tables. `dmoa reproduce`
# remakes all of it and writes [a report](../paper_figures/out/report.md). Here is the way through, with fewer runs, so that
# it takes a minute: what holds, what the tables really are, and what nobody can tell from them.

# %%
# %matplotlib inline
from IPython.display import HTML, Markdown

from dmoa_paper_figures.registry import ITEMS
from dmoa_paper_figures.reproduction import reproduce_items
from dmoa_paper_figures.settings import Settings

QUICK = Settings(quick=True)
print(*(f"{name:22s}{item.title}" for name, item in ITEMS.items()), sep="\n")

# %%
from functools import cache


@cache
def reproduce(name):
    """What came of one item: pictures, tables, findings, checks."""
    return reproduce_items([name], QUICK).outcome(name)


def picture(name):
    """Its drawing."""
    return reproduce(name).pictures[0].draw()


def findings(name):
    """What it found, as a list."""
    return Markdown("\n".join(f"- {finding}" for finding in reproduce(name).findings))


# %% [markdown]
# ## The system, in four drawings
#
# Fig. 1 is the argument: one server at the end of long links, or devices that ask each other. Ours are drawn from network
# objects, and the statement about failures is counted on them.

# %%
picture("figure-1")

# %% [markdown]
# Fig. 2 is the system: users, devices, buffers, prompts and responses on their way. Ours is a moment of a simulated run.

# %%
picture("figure-2")

# %% [markdown]
# Fig. 3 follows one query through `M = 2` layers of `k + 1 = 3` proposers, and one aggregator at home: $(k + 1) M + 1 = 7$
# inferences.

# %%
picture("figure-3")

# %% [markdown]
# Fig. 4 looks into one device: a queue of its own user's prompts and of others', one model, and prompts that come back longer.

# %%
picture("figure-4")

# %% [markdown]
# ## Theorem 1
#
# When do the queues stay bounded? The derivation, step by step, as a case of the condition for *any* graph; nothing is put in
# by hand ([notebook 3](03_the_mathematics.ipynb) goes slower):

# %%
steps = reproduce("theorem-1").formulas
Markdown("\n\n".join(f"{step.reason}\n\n$$\n{step.latex}\n$$" for step in steps))

# %% [markdown]
# A theorem about queues can be watched. Below the boundary they come back to zero again and again; above it they grow, and
# how fast is the *fluid limit*, which the paper does not have.

# %%
picture("theorem-1")

# %%
findings("theorem-1")

# %% [markdown]
# The theorem stands: it says when queues are stable, and they are; beyond it they are not.
#
# ## The experiment behind the tables
#
# Four devices, ten prompts, one a second. That is all: the tables report what became of **ten prompts**. An inference of a
# large model takes the better part of a minute. Before any simulation, put that into Theorem 1:

# %%
from dmoa_paper_figures.items.transient import nominal_load
from dmoa_paper_figures.published import configurations

for M, k in configurations():
    print(f"M={M}, k={k}: α((k + 1)M + 1)λ = {nominal_load(M, k, QUICK):.0f}, where the theorem asks for less than 1")

# %% [markdown]
# So no row of either table is about a stable system. They can be reproduced all the same, as what they are: a burst into empty
# devices, and how long it takes to work it off.
#
# ## Table I: one number explains fourteen
#
# The timings were not published, so the mean time of an inference has to come from the table itself: *one* number for seven
# latencies and seven queue sizes. How much services vary is not fitted but read off real answers to the same ten prompts.
#
# Fitting is easy, so the last column is the one to read: there the row itself was **left out** of the estimate.

# %%
table_one = reproduce_items(["table-1"], QUICK)
table_one

# %%
picture("table-1")

# %% [markdown]
# *Run ±* is what chance does to a single run, and each published figure is one. Measured by that, the table is what one
# number and chance produce:

# %%
findings("table-1")

# %% [markdown]
# ## Table II: four models, and something else
#
# With four different models latencies are two to four times as long. Slower models? Then `M = 0`, a single inference at home,
# would be slower in proportion. But it is slower by far more. Estimate from the other six rows what `M = 0` should take:

# %%
picture("model-loading")

# %% [markdown]
# Readings without loading predict half of what was published, and with it they come close. The published code runs all models
# on one machine and takes the time around a function that *loads* the model if another one is in memory. That is evidence,
# not proof: the timings themselves are nowhere. With loading, five numbers describe the table:

# %%
table_two = reproduce_items(["table-2"], QUICK)
table_two

# %%
import numpy as np

for name, found in (("I", table_one), ("II", table_two)):
    for quantity in ("latency", "queue"):
        rows = [row for row in found.rows if row.quantity == quantity]
        fitted, left_out = (
            100 * np.sqrt(np.mean(np.square([getattr(row, gap) for row in rows])))
            for gap in ("difference", "predicted_difference")
        )
        print(f"Table {name}, {quantity}: off by {fitted:.0f} % (root mean square), left out {left_out:.0f} %")

# %% [markdown]
# ## What is an "average queue size"?
#
# Not what the name says. The published code adds up, for each job served, the *other queries* whose next layer includes this
# device and is ready by the end of the job, for the whole of its service. Three queries at two devices are enough to see it,
# with a pencil:

# %%
from dmoa_theory.simulation.traces.published_metrics import published_metrics
from dmoa_theory.simulation.traces.replay import replay
from dmoa_theory.simulation.traces.trace import Trace

three = Trace(
    n_devices=2,
    arrival=[0.0, 1.0, 2.0],
    user=[0, 1, 0],
    stage_start=[0, 2, 4, 6],  # each query: one layer, one aggregation
    job_start=[0, 2, 3, 5, 6, 8, 9],  # two jobs in the layer, one in the aggregation
    device=[0, 1, 0, 1, 0, 1, 0, 1, 0],
    service=[4.0, 3.0, 2.0, 5.0, 1.0, 2.0, 2.0, 2.0, 3.0],
)
published = published_metrics(three)
print(f"latencies {published.query_latency.tolist()}, published queue size {published.average_queue_size:.4f} = 25/13/2")
replay(three)

# %% [markdown]
# On the runs of the tables it is the larger of the two counts; the less a device has to do, the more so:

# %%
picture("queue-metric")

# %% [markdown]
# It can be reproduced like any other statistic, and it is in the tables above. Just do not size a buffer by it.
#
# ## What would stable devices do?
#
# The tables answer "how long do ten prompts take?". Send thirty, and the answer is another one (left). A planner asks for the
# latency that stays: it exists only at loads below one (right), where a prompt comes every few minutes and not every second.

# %%
picture("transient")

# %%
HTML(reproduce("transient").tables[0].to_html())

# %%
findings("transient")

# %% [markdown]
# ## And the accuracy?
#
# It cannot be remade without four large models and a paid judge, so it is quoted. But its error can be computed, for it is
# known how much scores of single prompts vary: with ten prompts, 10 to 13 points remain. The paper draws no error bars. Here
# they are:

# %%
picture("trade-off")

# %%
findings("trade-off")

# %% [markdown]
# So whether `M = 2, k = 3` is worth eleven times the wait of a single model is open. [Notebook
# 6](06_choosing_under_uncertainty.ipynb) says how to choose under such uncertainty, and how many prompts would settle it.
#
# ## What to remember
#
# * Theorem 1 holds, on both sides, and extends to any graph.
# * Latency and queue sizes of Table I follow from one number, also in rows that the estimate has not seen.
# * Table II asks for loading times inside the measured ones; plan nothing with its service times.
# * Both tables are bursts of ten prompts into systems that are offered many times what they can do.
# * The accuracies cannot be told apart.
#
# The [full report](../paper_figures/out/report.md) has all items, with more runs, and what lies beyond the paper.
#
# ## Exercise
#
# Suppose the authors had sent the ten prompts one every ten minutes. Which of the seven configurations would have been
# stable, and how would the column of latencies look?
#
# *Hint.* `published_system(M, k, QUICK)` from `dmoa_paper_figures.items.transient` is the system of Table I; `.with_rates(1 /
# 2400)` is one prompt in ten minutes from all four users together. `stability_region(...)` says who is stable, and
# `simulate_burst(..., prompts=10, replications=500, seed=1).mean` how long the ten prompts take.
