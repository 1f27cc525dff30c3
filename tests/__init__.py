"""The test suite. A package, so that `tests` can never mean another project's folder of that name."""
