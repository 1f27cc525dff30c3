"""Benchmarks of dver beside DVC, Git LFS, restic and borg, run by hand; no part of the test run.

    python -m tests.bench --dry-run                       what will take how long, and how much space
    python -m tests.bench --dvc PATH                      everything, full size: hours, 60 GB free in --data and --work
    python -m tests.bench --only csv,small --runs 5 --skip PUSH_LINK,PULL_LINK
    python -m tests.bench --only million --runs 1 --again one workload anew, the rest kept
    python -m tests.bench --quick                         a smoke run on tiny data; the page goes beside the results
    python -m tests.bench --report --output PAGE.md       the page again, from results

The dver that is measured is the one of the Python that runs this. A tool that is not there is left out, and its column
says so. Results are added to one file, run by run of a tool: what is cut off goes on where it stopped, and dver is
measured anew when its sources have changed. The page is written from all results of the same machine and versions. Data
is made once under `--data` and is the same on every machine; the repositories lie under `--work` and are removed after
use. Both default to the temporary folder.

| module | its job |
|---|---|
| `__main__` | arguments; what is run, and where its results go |
| `plan` | how long it will take, and how much space |
| `workloads`, `table`, `parquet` | the data, in two versions |
| `tools`, `backup` | how each tool does each operation |
| `session` | one run of a tool on a workload |
| `cloud`, `s3server`, `relay` | an S3 server, and a slow link to it |
| `growth` | how much a small edit adds to dver's store |
| `fragments` | how a file checks out that was edited often |
| `scale` | larger and larger: files, one file, the index |
| `measure`, `launch` | time, CPU and memory of a command |
| `machine` | what it ran on |
| `results` | the log of what was measured, and what of it makes a page |
| `report`, `network`, `curves`, `plot`, `tables` | the page and its plots, from results alone |
"""
