"""Devices and numerics."""
