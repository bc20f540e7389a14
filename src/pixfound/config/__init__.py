"""From YAML to components."""
