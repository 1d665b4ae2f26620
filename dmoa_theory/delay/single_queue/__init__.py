"""One first-come-first-served device fed by Poisson arrivals (M/G/1): moments, tails and busy periods, all exact.

In a DMoA network the jobs of a layer are forked together and return to the device that asked, so arrivals at a device are not
Poisson, and what is exact for M/G/1 is an approximation there; only with M = 0 is every device an M/G/1 queue.
"""
