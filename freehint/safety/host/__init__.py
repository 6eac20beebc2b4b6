"""The host of the small guest: its device, an early switch-over, and sentences for both."""
