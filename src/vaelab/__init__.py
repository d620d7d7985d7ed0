"""Variational autoencoders with numbers one can trust."""
