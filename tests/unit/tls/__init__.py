"""Identities, files of certificates, and their renewal."""
