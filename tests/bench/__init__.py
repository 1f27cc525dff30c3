"""Benchmarks of dver beside DVC and Git LFS, run by hand; no part of the test run.

    python -m tests.bench --dvc PATH                      everything, full size: hours, 120 GB free in --data and --work
    python -m tests.bench --dvc PATH --workloads csv,small --runs 5
    python -m tests.bench --dvc PATH --workloads many --runs 1 --append   one workload anew, the rest kept
    python -m tests.bench --dvc PATH --quick              a smoke run on tiny data; the page goes beside the JSON
    python -m tests.bench --report RESULTS.json           the page again, from results

The dver that is measured is the one of the Python that runs this. Git LFS is taken from PATH or `--lfs`. A tool that
is not there is left out. Data is made once under `--data` and is the same on every machine; the repositories lie under
`--work` and are removed after use. Both default to the temporary folder.

| module | its job |
|---|---|
| `__main__` | arguments; what is run, and where its results go |
| `workloads`, `table` | the data, in two versions |
| `tools` | how each tool does each operation |
| `session` | one workload: every tool in turn, run by run |
| `growth` | how much a small edit adds to dver's store |
| `measure`, `launch` | time, CPU and memory of a command |
| `machine` | what it ran on |
| `results` | samples, to JSON and back |
| `report` | the page, from results alone |
"""
