"""Field encryption: data keys per subject, wrapped by KMS."""
