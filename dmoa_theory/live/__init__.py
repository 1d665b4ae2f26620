"""What a live network did, beside what theory and simulation say of it."""
