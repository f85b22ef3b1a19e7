"""Settling one environment on a release: admit, apply, prove, put back."""
