"""Assignments: read their definitions, make the student copies, grade what comes back."""
