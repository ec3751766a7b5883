"""Tests of the studies: the registered analysis, and the command that makes a study."""
