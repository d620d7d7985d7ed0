"""The scikit-learn face: estimators over ``(n, features)`` arrays."""
