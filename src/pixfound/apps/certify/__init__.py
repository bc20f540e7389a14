"""The gates that a model passes before its attention is believed, and the certificate that says so."""
