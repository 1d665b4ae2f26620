"""Simulation in steady state: replications, intervals, results."""
