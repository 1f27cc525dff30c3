"""One use case a module: functions that take a `Repo`, return a plan or a result, and print nothing."""
