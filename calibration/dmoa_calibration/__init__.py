"""Measure how long an LLM takes on this machine, and fit the service times that planning needs.

Start at :func:`dmoa_calibration.calibrate.calibrate`; ``METHODOLOGY.md`` beside this package says what is measured and why.
"""
