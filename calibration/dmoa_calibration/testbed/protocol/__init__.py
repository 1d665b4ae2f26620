"""What nodes say to each other, who may say it, and how they know of each other."""
