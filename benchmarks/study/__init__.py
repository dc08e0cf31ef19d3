"""The study: what the experiment engine does over thousands of simulated canaries, beside the rules people use instead.

What is studied is the engine itself (``judge`` and ``analyse``); only traffic is simulated, and peers run their own code.
"""
