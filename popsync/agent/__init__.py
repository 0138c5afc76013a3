"""Puts the rooms together and lets accounts be polled side by side."""
