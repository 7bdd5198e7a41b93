"""Bridge to a Unitree Go2 through the vendor's SDK."""
