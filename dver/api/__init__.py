"""What scripts may use to read versions without a checkout, and to record what they do.

Each part is loaded when the first of its names is used. Paths are absolute, or relative to `repo`, which is any folder
in the repository; `rev` is a commit, branch or tag, and without it the pointers in the working tree count. Of the
environment only this package, `dver.lineage` and the command line take notice.
"""
