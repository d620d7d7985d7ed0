"""A trained model put to work: classification, anomaly detection, representations, latent space, label transfer.

Functions of (model, data, variant) → numbers; they know nothing of run folders, figures or the command line.
"""
