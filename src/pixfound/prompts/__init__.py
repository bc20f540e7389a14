"""What models are asked: templates, their perturbations."""
