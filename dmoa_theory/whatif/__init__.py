"""What if: a device or a link is lost, each in turn; devices fail now and then; one central server does it all instead."""
