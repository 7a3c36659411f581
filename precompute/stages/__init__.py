"""The stages of the offline job, and the pure functions that they rest on."""
