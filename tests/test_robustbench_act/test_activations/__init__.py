"""Tests of robustbench_act.activations."""
