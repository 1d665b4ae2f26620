"""When load below one is enough: theorems, and certificates that a computer finds and anyone can check."""
