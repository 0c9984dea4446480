"""Screening of payments before they are charged: rules as data, counted velocities, and a decision for each payment."""
