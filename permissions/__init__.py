"""Permissions proved: the synthesized policies, judged by the calls that the tests make.

Tests note each AWS call of a function (`recording`) with the IAM actions that it needs (`actions`).
What services do in the function's name is added (`needs`). An evaluator (`evaluation`) judges all
of it by the policies of a synthesized stage (`policies`). What is granted and never needed is found
as well (`judgement`).
"""
