"""Tests of ops/stack that start no server.

python3 -B -m unittest discover -s ops/servers/tests -t ops
"""
