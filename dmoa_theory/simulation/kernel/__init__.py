"""The compiled simulator: every event of a run, exactly, and room for what it writes down."""
