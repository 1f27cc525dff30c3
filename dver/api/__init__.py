"""What scripts may use: reading versions without a checkout, and lineage.

Each part is loaded when the first of its names is used: a script that only reads data does not wait for lineage. Paths
are absolute, or relative to `repo`, which is any folder in the repository; `rev` is a commit, branch or tag, and
without it the pointers in the working tree count. Of the environment only this package and the command line take
notice.
"""
