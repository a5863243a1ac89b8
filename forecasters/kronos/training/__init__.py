"""Training of both of Kronos' models on bars: first the tokenizer, then the network on its tokens.

Read windows.py (what is learned from), losses.py (what is minimised), stage.py (the loop of one model, resumable),
train.py (both, into a folder that `load_kronos` takes). Importing this package is cheap; its modules import torch.
"""
