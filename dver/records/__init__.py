"""Lineage: records of which command turned which inputs into which outputs, and the questions they answer.

Records are lines of one file in git, named by their own hash; everything else here can be made again from them.
"""
