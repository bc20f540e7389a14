"""Construction of components from YAML configs."""
