"""Devices and numbers."""
